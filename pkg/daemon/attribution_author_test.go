package daemon_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// gauges is a CRD with a field of each merge strategy.
const gauges = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gauges.who.example.com}
spec:
  group: who.example.com
  scope: Namespaced
  names: {plural: gauges, singular: gauge, kind: Gauge}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              replicas: {type: integer}
              size: {type: number}
              tags: {type: object, additionalProperties: {type: string}}
              set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              atomic: {type: array, items: {type: string}}
              whole: {type: object, x-kubernetes-map-type: atomic, additionalProperties: {type: string}}
              items:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [id]
                items: {type: object, required: [id], properties: {id: {type: string}, a: {type: integer}, b: {type: integer}}}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties:
              replicas: {type: integer}
              phase: {type: string}
              conditions:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [type]
                items: {type: object, required: [type], properties: {type: {type: string}, status: {type: string}}}
`

// field is a field that managers write, with its possible values as JSON. null
// removes the field.
type field struct {
	path   string // a JSON pointer without the first slash
	values []string
}

// subject is a kind whose objects managers write to.
type subject struct {
	resource schema.GroupVersionResource
	kind     string
	initial  string // spec and data
	fields   []field
	status   []field
	scales   bool
}

// common returns the fields that all kinds have.
func common() []field {
	return []field{
		{"metadata/labels/a", []string{`"1"`, `"2"`, `"3"`, `null`}},
		{"metadata/labels/b", []string{`"1"`, `"2"`, `null`}},
		{"metadata/labels", []string{`{"c":"1"}`, `null`}},
		{"metadata/annotations/example.com~1x", []string{`"1"`, `"2"`, `null`}},
		{"metadata/annotations/y", []string{`"1"`, `"2"`, `null`}},
		{
			"metadata/finalizers",
			[]string{`["example.com/f"]`, `["example.com/f","example.com/g"]`, `["example.com/g"]`, `null`},
		},
	}
}

func subjects() []subject {
	return []subject{
		{
			resource: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"},
			kind:     "Deployment", scales: true,
			initial: `{"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":` +
				`{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"app","image":"a:1"}]}}}}`,
			fields: append(common(),
				field{"spec/replicas", []string{`1`, `2`, `3`, `0`, `null`}},
				field{"spec/paused", []string{`true`, `false`, `null`}},
				field{"spec/template/metadata/annotations/restarted", []string{`"1"`, `"2"`, `null`}},
				field{"spec/template/spec/containers", []string{
					`[{"name":"app","image":"a:1"}]`, `[{"name":"app","image":"a:2","args":["x"]}]`,
					`[{"name":"app","image":"a:2","args":["x","y"]}]`,
					`[{"name":"app","image":"a:1","env":[{"name":"E","value":"1"}]}]`,
					`[{"name":"app","image":"a:1","env":[{"name":"F","value":"1"},{"name":"E","value":"2"}]}]`,
					`[{"name":"side","image":"s:1"},` +
						`{"name":"app","image":"a:1","ports":[{"containerPort":80,"name":"web"}]}]`,
				}},
			),
			status: []field{
				{"status/replicas", []string{`1`, `2`, `3`}},
				{"status/conditions", []string{
					`[{"type":"Available","status":"True"}]`,
					`[{"type":"Available","status":"False"},{"type":"Progressing","status":"True"}]`,
					`[{"type":"Progressing","status":"True"},{"type":"Available","status":"False"}]`, `null`,
				}},
			},
		},
		{
			resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
			kind:     "ConfigMap", initial: `{"data":{"k":"0"}}`,
			fields: append(common(),
				field{"data/k", []string{`"1"`, `"2"`, `"3"`, `null`}},
				field{"data/l", []string{`"1"`, `"2"`, `null`}},
				field{"data", []string{`{"m":"1"}`, `null`}},
			),
		},
		{
			resource: schema.GroupVersionResource{Group: "who.example.com", Version: "v1", Resource: "gauges"},
			kind:     "Gauge", initial: `{"spec":{"replicas":1}}`, scales: true,
			fields: append(common(),
				field{"spec/replicas", []string{`1`, `2`, `0`, `null`}},
				field{"spec/size", []string{`1`, `1.0`, `1.5`, `null`}},
				field{"spec/tags/a", []string{`"1"`, `"2"`, `null`}},
				field{"spec/tags", []string{`{}`, `{"b":"1"}`, `null`}},
				field{"spec/set", []string{`["a"]`, `["a","b"]`, `["b","a","c"]`, `null`}},
				field{"spec/atomic", []string{`["a"]`, `["a","b"]`, `["b"]`, `null`}},
				field{"spec/whole", []string{`{"a":"1"}`, `{"a":"1","b":"1"}`, `{}`, `null`}},
				field{"spec/items", []string{
					`[{"id":"x","a":1}]`, `[{"id":"y","a":1},{"id":"x","b":2}]`, `[{"id":"x","a":2,"b":2}]`, `null`,
				}},
				field{"spec/free/a", []string{`{"b":1}`, `[1]`, `"c"`, `null`}},
			),
			status: []field{
				{"status/phase", []string{`"A"`, `"B"`, `null`}},
				{"status/replicas", []string{`1`, `2`}},
				{"status/conditions", []string{
					`[{"type":"R","status":"True"}]`, `[{"type":"S","status":"True"},{"type":"R","status":"False"}]`,
					`[{"type":"R","status":"False"},{"type":"S","status":"True"}]`, `null`,
				}},
			},
		},
		{
			resource: schema.GroupVersionResource{Version: "v1", Resource: "services"}, kind: "Service",
			initial: `{"spec":{"selector":{"app":"web"},"ports":[{"port":80}]}}`,
			fields: append(common(),
				field{"spec/type", []string{`"ClusterIP"`, `"NodePort"`, `"LoadBalancer"`}},
				field{"spec/ports", []string{
					`[{"port":80,"name":"a"}]`, `[{"port":80,"name":"a"},{"port":81,"name":"b","protocol":"UDP"}]`,
					`[{"port":81,"name":"a","protocol":"UDP"}]`,
				}},
				field{"spec/selector/app", []string{`"web"`, `"wep"`}},
				field{"spec/sessionAffinity", []string{`"None"`, `"ClientIP"`}},
			),
		},
	}
}

// author writes to one object, as several managers.
type author struct {
	t       *testing.T
	rand    *rand.Rand
	subject subject
	name    string
	client  dynamic.ResourceInterface
	truth   *truth
	last    string                     // the newest resourceVersion
	old     *unstructured.Unstructured // an earlier version
}

func newAuthor(t *testing.T, w *truth, s subject, name string, r *rand.Rand) *author {
	t.Helper()
	config := cluster.Config()
	config.WarningHandler = nil
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return &author{
		t: t, rand: r, subject: s, name: name, client: client.Resource(s.resource).Namespace("who"), truth: w,
	}
}

// live creates the object, writes to it and deletes it.
func (a *author) live() {
	object := a.document(a.subject.initial)
	m := a.manager()
	created, err := a.client.Create(a.t.Context(), object, metav1.CreateOptions{FieldManager: m})
	if err != nil {
		a.t.Errorf("create %s: %v", a.name, err)
		return
	}
	a.note(created, authored{m, "", "create"})
	for range *whoWrites {
		a.write()
		a.pause()
	}
	m = a.manager()
	final, err := a.patch(m, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err != nil {
		a.t.Errorf("remove the finalizers of %s: %v", a.name, err)
		return
	}
	a.note(final, authored{m, "", "removal"})
	if err := a.client.Delete(a.t.Context(), a.name, metav1.DeleteOptions{}); err != nil {
		a.t.Errorf("delete %s: %v", a.name, err)
	}
}

// pause waits not at all, for part of a second, or for more than a second.
//
// The sleep does not order events. Managed entries have times in whole seconds,
// and the test needs writes in the same second and in different ones.
func (a *author) pause() {
	switch n := a.rand.IntN(10); {
	case n < 6:
	case n < 8:
		time.Sleep(time.Duration(a.rand.IntN(400)) * time.Millisecond)
	default:
		time.Sleep(time.Second + time.Duration(a.rand.IntN(200))*time.Millisecond)
	}
}

// manager returns a random manager.
func (a *author) manager() string { return fmt.Sprintf("m%d", a.rand.IntN(5)) }

// write makes one random write as a random manager. The API server may refuse
// it.
func (a *author) write() {
	m := a.manager()
	how, subresource, object, err := a.one(m)
	if apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return
	}
	if err != nil {
		a.t.Errorf("%s %s: %v", how, a.name, err)
		return
	}
	a.note(object, authored{m, subresource, how})
	if how != "replace by an old copy" && a.rand.IntN(8) == 0 {
		a.old, _ = a.client.Get(a.t.Context(), a.name, metav1.GetOptions{})
	}
}

// note adds a write to the truth, if it made a version.
func (a *author) note(object *unstructured.Unstructured, w authored) {
	if rv := object.GetResourceVersion(); rv != a.last {
		a.last = rv
		a.truth.add(a.name, rv, w)
	}
}

// one makes one write as manager m, and returns how.
func (a *author) one(m string) (how, subresource string, object *unstructured.Unstructured, err error) {
	switch n := a.rand.IntN(100); {
	case n < 25:
		object, err = a.patch(m, types.MergePatchType, a.merged(1+a.rand.IntN(2), a.subject.fields, false))
		return "merge patch", "", object, err
	case n < 35:
		object, err = a.patch(m, types.MergePatchType, a.merged(1+a.rand.IntN(2), a.subject.fields, true))
		return "removal", "", object, err
	case n < 50:
		object, err = a.apply(m)
		return "apply", "", object, err
	case n < 60:
		object, err = a.put(m)
		return "put", "", object, err
	case n < 70:
		object, err = a.patch(m, types.JSONPatchType, a.steps())
		return "JSON patch", "", object, err
	case n < 75:
		how, object, err = a.odd(m)
		return how, "", object, err
	case n < 88 && a.subject.status != nil:
		object, err = a.patch(m, types.MergePatchType, a.merged(1, a.subject.status, false), "status")
		return "status", "status", object, err
	case a.subject.scales:
		patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, a.rand.IntN(4))
		object, err = a.patch(m, types.MergePatchType, []byte(patch), "scale")
		return "scale", "scale", object, err
	default:
		object, err = a.patch(m, types.MergePatchType, a.merged(1, a.subject.fields, false))
		return "merge patch", "", object, err
	}
}

// odd makes a write that few clients make.
func (a *author) odd(m string) (how string, object *unstructured.Unstructured, err error) {
	switch a.rand.IntN(4) {
	case 0:
		object, err = a.patch(m, types.JSONPatchType,
			[]byte(`[{"op":"replace","path":"/metadata/managedFields","value":[{}]}]`))
		return "reset of managedFields", object, err
	case 1:
		object, err = a.upgrade(m)
		return "upgrade to server-side apply", object, err
	default:
		if a.old == nil {
			object, err = a.put(m)
			return "put", object, err
		}
		old := a.old.DeepCopy()
		old.SetResourceVersion("")
		object, err = a.client.Update(a.t.Context(), old, metav1.UpdateOptions{FieldManager: m})
		return "replace by an old copy", object, err
	}
}

// upgrade turns the managed entry of an update into one of an apply. kubectl
// does this before it applies an object server-side that it applied
// client-side.
func (a *author) upgrade(m string) (*unstructured.Unstructured, error) {
	object, err := a.client.Get(a.t.Context(), a.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	entries := object.GetManagedFields()
	i := slices.IndexFunc(entries, func(e metav1.ManagedFieldsEntry) bool {
		return e.Operation == "Update" && e.Subresource == ""
	})
	if i < 0 || slices.ContainsFunc(entries, func(e metav1.ManagedFieldsEntry) bool { return e.Operation == "Apply" }) {
		return object, nil
	}
	entries[i].Operation, entries[i].Manager = "Apply", "applied"
	value, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	return a.patch(m, types.JSONPatchType,
		fmt.Appendf(nil, `[{"op":"replace","path":"/metadata/managedFields","value":%s}]`, value))
}

func (a *author) patch(
	m string, kind types.PatchType, patch []byte, subresources ...string,
) (*unstructured.Unstructured, error) {
	return a.client.Patch(a.t.Context(), a.name, kind, patch, metav1.PatchOptions{FieldManager: m}, subresources...)
}

// apply applies random fields server-side.
func (a *author) apply(m string) (*unstructured.Unstructured, error) {
	config := a.document(string(a.merged(a.rand.IntN(4), a.subject.fields, false)))
	withoutNulls(config.Object)
	return a.client.Apply(a.t.Context(), a.name, config,
		metav1.ApplyOptions{FieldManager: m, Force: a.rand.IntN(2) == 0})
}

// put changes random fields of the newest version and updates the object.
func (a *author) put(m string) (*unstructured.Unstructured, error) {
	object, err := a.client.Get(a.t.Context(), a.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for range 1 + a.rand.IntN(2) {
		f, value := a.draw(a.subject.fields, a.rand.IntN(2) == 0)
		set(object.Object, f.names(), value)
	}
	return a.client.Update(a.t.Context(), object, metav1.UpdateOptions{FieldManager: m})
}

// steps returns a JSON patch with one step.
func (a *author) steps() []byte {
	f, value := a.draw(a.subject.fields, false)
	if value == nil {
		return fmt.Appendf(nil, `[{"op":"remove","path":"/%s"}]`, f.path)
	}
	text, _ := json.Marshal(value) // came from JSON
	return fmt.Appendf(nil, `[{"op":"add","path":"/%s","value":%s}]`, f.path, text)
}

// merged returns a merge patch of n random fields.
func (a *author) merged(n int, fields []field, remove bool) []byte {
	patch := map[string]any{}
	for range n {
		f, value := a.draw(fields, remove)
		put(patch, f.names(), value)
	}
	text, _ := json.Marshal(patch) // came from JSON
	return text
}

// draw returns a random field and a random value for it. nil removes the field.
func (a *author) draw(fields []field, remove bool) (f field, value any) {
	f = fields[a.rand.IntN(len(fields))]
	text := f.values[a.rand.IntN(len(f.values))]
	if remove {
		text = "null"
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		a.t.Error(err)
	}
	return f, value
}

// document returns the author's object with these members.
func (a *author) document(members string) *unstructured.Unstructured {
	object := map[string]any{}
	if err := json.Unmarshal([]byte(members), &object); err != nil {
		a.t.Error(err)
	}
	u := &unstructured.Unstructured{Object: object}
	u.SetAPIVersion(a.subject.resource.GroupVersion().String())
	u.SetKind(a.subject.kind)
	u.SetName(a.name)
	u.SetNamespace("who")
	return u
}

// names returns the names of the path.
func (f field) names() []string {
	names := strings.Split(f.path, "/")
	for i := range names {
		names[i] = strings.ReplaceAll(names[i], "~1", "/")
	}
	return names
}

// set sets the value at a path, or removes it if it is nil.
func set(object map[string]any, path []string, value any) {
	put(object, path, value)
	withoutNulls(object)
}

// put sets the value at a path, and creates the maps on the way.
func put(object map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inside, ok := object[name].(map[string]any)
		if !ok {
			inside = map[string]any{}
			object[name] = inside
		}
		object = inside
	}
	object[path[len(path)-1]] = value
}

// withoutNulls removes the members that are null.
func withoutNulls(object map[string]any) {
	for name, value := range object {
		switch inside := value.(type) {
		case nil:
			delete(object, name)
		case map[string]any:
			withoutNulls(inside)
		}
	}
}
