package recorder_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// gauges are objects with every kind of list and map that a schema can have.
var gauges = history.Resource{
	Group: "who.example.com", Version: "v1", Plural: "gauges", Kind: "Gauge", Namespaced: true,
}

const gaugeSchemas = `{
"scale": {"type":"object","x-kubernetes-group-version-kind":[{"group":"autoscaling","version":"v1","kind":"Scale"}],"properties":{
	"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"$ref":"#/definitions/meta"},
	"spec":{"type":"object","properties":{"replicas":{"type":"integer"}}}}},
"gauge": {"type":"object","x-kubernetes-group-version-kind":[{"group":"who.example.com","version":"v1","kind":"Gauge"}],"properties":{
	"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"$ref":"#/definitions/meta"},
	"spec":{"type":"object","properties":{
		"replicas":{"type":"integer"}, "size":{"type":"number"},
		"tags":{"type":"object","additionalProperties":{"type":"string"}},
		"set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}},
		"atomic":{"type":"array","x-kubernetes-list-type":"atomic","items":{"type":"string"}},
		"whole":{"type":"object","x-kubernetes-map-type":"atomic","additionalProperties":{"type":"string"}},
		"items":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["id"],"items":{
			"type":"object","properties":{"id":{"type":"string"},"a":{"type":"integer"},"b":{"type":"integer"}}}}}},
	"status":{"type":"object","properties":{
		"phase":{"type":"string"},
		"conditions":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["type"],"items":{
			"type":"object","properties":{"type":{"type":"string"},"status":{"type":"string"}}}}}}}},
"meta": {"type":"object","properties":{
	"name":{"type":"string"},"namespace":{"type":"string"},"uid":{"type":"string"},"resourceVersion":{"type":"string"},
	"deletionTimestamp":{"type":"string"},
	"managedFields":{"type":"array","x-kubernetes-list-type":"atomic","items":{"type":"object","x-kubernetes-preserve-unknown-fields":true}},
	"labels":{"type":"object","additionalProperties":{"type":"string"}},
	"annotations":{"type":"object","additionalProperties":{"type":"string"}},
	"finalizers":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}}}
}`

// gaugeFields are the fields that managers write, with their possible values.
// null removes the field.
var gaugeFields = map[string][]string{
	"metadata.labels.a":      {`"1"`, `"2"`, `"3"`, `null`},
	"metadata.labels.b":      {`"1"`, `"2"`, `null`},
	"metadata.labels":        {`{"c":"1"}`, `{}`, `null`},
	"metadata.annotations.x": {`"1"`, `"2"`, `null`},
	"metadata.finalizers":    {`["f/a"]`, `["f/a","f/b"]`, `["f/b"]`, `null`},
	"spec.replicas":          {`1`, `2`, `0`, `null`},
	"spec.size":              {`1`, `1.5`, `2`, `null`},
	"spec.tags.a":            {`"1"`, `"2"`, `null`},
	"spec.tags":              {`{}`, `{"b":"1"}`, `null`},
	"spec.set":               {`["a"]`, `["a","b"]`, `["b","a","c"]`, `null`},
	"spec.atomic":            {`["a"]`, `["a","b"]`, `["b"]`, `null`},
	"spec.whole":             {`{"a":"1"}`, `{"a":"1","b":"1"}`, `{}`, `null`},
	"spec.items": {
		`[{"id":"x","a":1}]`, `[{"id":"y","a":1},{"id":"x","b":2}]`, `[{"id":"x","a":2,"b":2}]`, `null`,
	},
}

var gaugeStatus = map[string][]string{
	"status.phase": {`"A"`, `"B"`, `null`},
	"status.conditions": {
		`[{"type":"R","status":"True"}]`, `[{"type":"S","status":"True"},{"type":"R","status":"False"}]`, `null`,
	},
}

// oldCopy is how a write restores an earlier state with its entries.
const oldCopy = "replace by an old copy"

// upgraded is the manager after an upgrade to server-side apply.
const upgraded = "applied"

// written is a version that a fieldServer served, and its writer.
type written struct {
	event                     history.WatchEvent
	at                        time.Time
	rv                        string
	manager, subresource, how string
}

// fieldServer is the part of an API server that maintains managedFields. It
// calls the API server's own library as its handlers do. It contains one gauge.
type fieldServer struct {
	t                   *testing.T
	name                string
	rand                *rand.Rand
	main, status, scale *managedfields.FieldManager
	managers            int
	skewed              bool // every second write goes through a server whose clock is slow

	live, old *unstructured.Unstructured
	versions  []written
	rv        int
}

// sameVersion neither converts nor sets defaults: there is one version.
type sameVersion struct{}

func (sameVersion) Convert(any, any, any) error { return nil }

func (sameVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (sameVersion) ConvertFieldLabel(schema.GroupVersionKind, string, string) (string, string, error) {
	return "", "", errors.New("not a field label")
}

func (sameVersion) Default(runtime.Object) {}

func (sameVersion) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	return u, nil
}

func newFieldServer(t *testing.T, r *rand.Rand, name string, rv int) *fieldServer {
	t.Helper()
	var schemas map[string]*spec.Schema
	if err := json.Unmarshal([]byte(gaugeSchemas), &schemas); err != nil {
		t.Fatal(err)
	}
	converter, err := managedfields.NewTypeConverter(schemas, false)
	if err != nil {
		t.Fatal(err)
	}
	s := &fieldServer{t: t, name: name, rand: r, managers: 2 + r.IntN(13), skewed: r.IntN(3) == 0, rv: rv}
	manager := func(kind schema.GroupVersionKind, subresource string) *managedfields.FieldManager {
		m, err := managedfields.NewDefaultCRDFieldManager(converter, sameVersion{}, sameVersion{},
			sameVersion{}, kind, kind.GroupVersion(), subresource, nil)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	kind := schema.GroupVersionKind{Group: gauges.Group, Version: gauges.Version, Kind: gauges.Kind}
	s.main, s.status = manager(kind, ""), manager(kind, "status")
	s.scale = manager(schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "Scale"}, "scale")
	s.create(kind)
	return s
}

func (s *fieldServer) create(kind schema.GroupVersionKind) {
	s.live = &unstructured.Unstructured{Object: map[string]any{}}
	s.live.SetGroupVersionKind(kind)
	created := s.live.DeepCopy()
	created.SetName(s.name)
	created.SetNamespace("shop")
	s.set(created, "spec.replicas", "1")
	m := s.manager()
	created = s.updated(s.main, s.live, created, m)
	s.commit(created, history.Added, m, "", "create")
}

func (s *fieldServer) manager() string { return fmt.Sprintf("m%d", s.rand.IntN(s.managers)) }

// write makes one write of a random kind by a random manager.
func (s *fieldServer) write() {
	m := s.manager()
	switch n := s.rand.IntN(100); {
	case n < 30:
		s.commit(s.updated(s.main, s.live, s.changed(gaugeFields, 1+s.rand.IntN(2), false), m),
			history.Modified, m, "", "update")
	case n < 45:
		s.commit(s.updated(s.main, s.live, s.changed(gaugeFields, 1+s.rand.IntN(2), true), m),
			history.Modified, m, "", "removal")
	case n < 65:
		s.apply(m)
	case n < 78:
		s.commit(s.updated(s.status, s.live, s.changed(gaugeStatus, 1, false), m),
			history.Modified, m, "status", "status")
	case n < 92:
		s.rescale(m, s.rand.IntN(4))
	default:
		s.odd(m)
	}
	if s.rand.IntN(8) == 0 {
		s.old = s.live
	}
}

// odd makes a write as only few clients do.
func (s *fieldServer) odd(m string) {
	next := s.live.DeepCopy()
	switch n := s.rand.IntN(10); {
	case n > 7: // as if a conversion webhook were down
		s.untracked()
	case n == 0:
		next.SetManagedFields([]metav1.ManagedFieldsEntry{{}})
		s.commit(s.updated(s.main, s.live, next, m), history.Modified, m, "", "reset of managedFields")
	case n < 3: // as kubectl before the first server-side apply
		entries := next.GetManagedFields()
		i := slices.IndexFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
			return e.Operation == "Update" && e.Subresource == ""
		})
		if i >= 0 {
			entries[i].Operation, entries[i].Manager = "Apply", upgraded
			next.SetManagedFields(entries)
			s.commit(s.updated(s.main, s.live, next, m), history.Modified, m, "", "upgrade to server-side apply")
		}
	case s.old != nil:
		s.commit(s.updated(s.main, s.live, s.old.DeepCopy(), m), history.Modified, m, "", oldCopy)
	}
}

// untracked writes twice without updating the entries. Within the second of
// another write, or to spec.replicas, that would not be visible.
func (s *fieldServer) untracked() {
	fields := maps.Clone(gaugeFields)
	delete(fields, "spec.replicas")
	time.Sleep(2100 * time.Millisecond)
	for range 2 {
		s.commit(s.changed(fields, 1, false), history.Modified, s.manager(), "", "entries not updated")
		time.Sleep(time.Second)
	}
}

// updated does what the handlers of PUT and PATCH do.
func (s *fieldServer) updated(
	fields *managedfields.FieldManager, live, next *unstructured.Unstructured, m string,
) *unstructured.Unstructured {
	object, ok := fields.UpdateNoErrors(live.DeepCopy(), next, m).(*unstructured.Unstructured)
	if !ok {
		s.t.Fatal("not an unstructured object")
	}
	return object
}

func (s *fieldServer) apply(m string) {
	config := &unstructured.Unstructured{Object: map[string]any{}}
	config.SetGroupVersionKind(s.live.GroupVersionKind())
	config.SetName(s.live.GetName())
	for range s.rand.IntN(4) {
		path, value := s.draw(gaugeFields)
		if value != "null" {
			s.set(config, path, value)
		}
	}
	object, err := s.main.Apply(s.live.DeepCopy(), config, m, s.rand.IntN(2) == 0)
	if err != nil {
		return // a conflict
	}
	next, ok := object.(*unstructured.Unstructured)
	if !ok {
		s.t.Fatal("not an unstructured object")
	}
	s.commit(next, history.Modified, m, "", "apply")
}

// rescale does what the registries do for the scale subresource.
func (s *fieldServer) rescale(m string, replicas int) {
	handler := managedfields.NewScaleHandler(s.live.GetManagedFields(), s.live.GroupVersionKind().GroupVersion(),
		managedfields.ResourcePathMappings{s.live.GetAPIVersion(): fieldpath.MakePathOrDie("spec", "replicas")})
	entries, err := handler.ToSubresource()
	if err != nil {
		s.t.Fatal(err)
	}
	scale := func(replicas int64) *unstructured.Unstructured {
		spec := map[string]any{}
		if replicas != 0 { // the type omits 0
			spec["replicas"] = replicas
		}
		u := &unstructured.Unstructured{
			Object: map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": spec},
		}
		u.SetUID(s.live.GetUID())
		u.SetManagedFields(entries)
		return u
	}
	now, _, _ := unstructured.NestedInt64(s.live.Object, "spec", "replicas")
	scaled := s.updated(s.scale, scale(now), scale(int64(replicas)), m)
	if entries, err = handler.ToParent(scaled.GetManagedFields()); err != nil {
		s.t.Fatal(err)
	}
	next := s.live.DeepCopy()
	s.set(next, "spec.replicas", fmt.Sprint(replicas))
	next.SetManagedFields(entries)
	s.commit(next, history.Modified, m, "scale", "scale")
}

// remove requests the deletion, lets other managers write, and completes it.
func (s *fieldServer) remove() {
	next := s.live.DeepCopy()
	s.set(next, "metadata.deletionTimestamp", `"2026-01-02T03:04:05Z"`)
	s.commit(next, history.Modified, "", "", "request to delete")
	s.write()
	m := s.manager()
	s.commit(s.updated(s.main, s.live, s.changed(gaugeFields, 1, true), m), history.Modified, m, "", "removal")
	s.rv++
	s.record(s.live, history.Deleted, m, "", "deletion")
}

// changed returns a copy of the object with some fields set or removed.
func (s *fieldServer) changed(fields map[string][]string, n int, remove bool) *unstructured.Unstructured {
	next := s.live.DeepCopy()
	for range n {
		path, value := s.draw(fields)
		if remove {
			value = "null"
		}
		s.set(next, path, value)
	}
	return next
}

func (s *fieldServer) draw(fields map[string][]string) (path, value string) {
	var paths []string
	for path := range fields {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	path = paths[s.rand.IntN(len(paths))]
	return path, fields[path][s.rand.IntN(len(fields[path]))]
}

// set sets a field to a JSON value. null removes the field.
func (s *fieldServer) set(u *unstructured.Unstructured, path, text string) {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		s.t.Fatal(err)
	}
	names := strings.Split(path, ".")
	if value == nil {
		unstructured.RemoveNestedField(u.Object, names...)
		return
	}
	for i := range names[:len(names)-1] { // the library returns an empty object as null
		if parent, _, _ := unstructured.NestedFieldNoCopy(u.Object, names[:i+1]...); parent == nil {
			unstructured.RemoveNestedField(u.Object, names[:i+1]...)
		}
	}
	if err := unstructured.SetNestedField(u.Object, value, names...); err != nil {
		s.t.Fatal(err)
	}
}

// commit adds a version of the object, unless only times differ.
func (s *fieldServer) commit(
	next *unstructured.Unstructured, event history.WatchEventType, manager, subresource, how string,
) {
	next.SetUID(types.UID("uid-" + s.name))
	if reflect.DeepEqual(timeless(s.live), timeless(next)) {
		return
	}
	if s.skewed && s.rand.IntN(2) == 0 {
		s.skew(next)
	}
	s.rv++
	next.SetResourceVersion(fmt.Sprint(s.rv))
	s.record(next, event, manager, subresource, how)
	s.live = next
}

// skew sets the time of the new entry to that of a slow clock.
func (s *fieldServer) skew(next *unstructured.Unstructured) {
	entries := next.GetManagedFields()
	for i := range entries {
		was := slices.IndexFunc(s.live.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
			return e.Manager == entries[i].Manager && e.Operation == entries[i].Operation &&
				e.Subresource == entries[i].Subresource && e.Time.Equal(entries[i].Time)
		})
		if was < 0 && entries[i].Time != nil && entries[i].Time.Unix() == time.Now().Unix() {
			entries[i].Time = &metav1.Time{Time: entries[i].Time.Add(-1500 * time.Millisecond)}
		}
	}
	next.SetManagedFields(entries)
}

func (s *fieldServer) record(
	u *unstructured.Unstructured, event history.WatchEventType, manager, subresource, how string,
) {
	u = u.DeepCopy()
	u.SetResourceVersion(fmt.Sprint(s.rv))
	text, err := u.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	s.versions = append(s.versions,
		written{history.WatchEvent{Type: event, Object: text}, time.Now(), fmt.Sprint(s.rv), manager, subresource, how})
}

// timeless returns the content of an object without the times of its entries.
func timeless(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	u.SetResourceVersion("")
	entries := u.GetManagedFields()
	for i := range entries {
		entries[i].Time = nil
	}
	u.SetManagedFields(entries)
	return u.Object
}
