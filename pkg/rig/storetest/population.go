package storetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// population appends versions of objects that have many things in common, over
// two days and in batches of all sizes, and returns them in order. The clock
// does not advance within a batch.
func (s *subject) population() (all []*history.Record) {
	s.t.Helper()
	web := version("web", "", history.Create).Ref
	db := version("db", "", history.Create).Ref
	node := version("web", "", history.Create).Ref
	node.Resource, node.Namespace = "nodes", ""
	recreated, elsewhere, thing, event := web, web, web, web
	recreated.UID, elsewhere.Namespace, thing.Group, event.Resource = "recreated", "db", "example.com", "events"
	for i, batch := range [][]*history.Record{
		{of(web, history.Create), of(node, history.Create), of(db, history.Create)},
		{of(web, history.Update)},
		{
			of(event, history.Create), of(thing, history.Create), of(web, history.Update),
			of(web, history.Delete), of(recreated, history.Create),
		},
		{of(elsewhere, history.Create), of(event, history.Update), of(node, history.Update), of(db, history.Delete)},
		{of(recreated, history.Update), of(thing, history.Delete), of(event, history.Create), of(db, history.Create)},
	} {
		s.now = s.now.Add(7 * time.Hour)
		for j, r := range batch {
			s.adorn(r, len(all)+j)
		}
		if i == 3 {
			s.reopen()
		}
		s.put(batch...)
		all = append(all, batch...)
	}
	return all
}

// recreation is the creation of the present namespaces. Of the objects named
// web, only one was created since then, and not earlier.
var recreation = time.Date(2025, 12, 24, 18, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant

// of returns a version of an object.
func of(o history.ObjectRef, verb history.Verb) *history.Record {
	return &history.Record{Ref: o, Version: "v1", Kind: "Kind of " + o.Resource, Verb: verb}
}

// adorn sets some of the optional fields of the nth record.
func (s *subject) adorn(r *history.Record, n int) {
	r.RV = fmt.Sprint(100 - n)
	r.Object = fmt.Appendf(nil, `{"n":%d,"name":%q}`, n, r.Ref.Name)
	if r.Ref.Namespace != "" && r.Ref.Name == "web" {
		created := recreation.Add(-time.Second)
		if r.Ref.UID == "recreated" {
			created = recreation
		}
		r.Object = fmt.Appendf(nil, `{"n":%d,"metadata":{"name":"web","creationTimestamp":%q}}`,
			n, created.Format(time.RFC3339))
	}
	// The last one is not its object's first version.
	r.Initial, r.Class = n < 2 || n == 9 || n == 16, history.Classes()[n*5%7%3]
	if n%5 == 3 {
		r.Version, r.InferredSince = "v1beta1", s.now.Add(-time.Hour)
	}
	if n%2 == 0 {
		r.Managers = []history.Manager{
			{
				Name: "kubelet", Operation: "Update", Subresource: "status",
				Time: s.now.Truncate(time.Second), Fields: []string{"status.phase"},
			},
			{Name: "kubectl"},
		}[n%4/2:]
		r.Summary = &history.Summary{Text: "replicas 1 → 2", Problem: "CrashLoopBackOff"}
	}
	if n%3 == 1 {
		r.Owners = []types.UID{"owner-1", "owner-2"}[n%2:]
	}
	if r.Ref.Resource == "events" {
		r.Regarding = &history.Target{
			Group: "apps", Kind: "Pod", Namespace: "shop", Name: "web", UID: types.UID([]string{"", "uid-web"}[n%2]),
		}
	}
}

// filters returns filters with each condition, and with each two of them, by
// their names. With -short, it returns only each tenth pair.
func filters(records []*history.Record) map[string]history.Filter {
	alone := conditions(records)
	all := map[string]history.Filter{"everything": {}}
	names, pairs := slices.Sorted(maps.Keys(alone)), 0
	for i, name := range names {
		for _, other := range names[:i+1] { // each two once
			if pairs++; testing.Short() && name != other && pairs%10 != 0 {
				continue
			}
			var f history.Filter
			alone[other](&f)
			alone[name](&f)
			if name == other {
				all[name] = f
			} else {
				all[name+" and "+other] = f
			}
		}
	}
	return all
}

// manyNamespaces returns the namespace shop and some that no log contains.
func manyNamespaces() map[string]time.Time {
	many, unknown := map[string]time.Time{"shop": {}}, 500
	if testing.Short() {
		unknown = 50
	}
	for i := range unknown {
		many[fmt.Sprint("unknown-", i)] = time.Time{}
	}
	return many
}

// conditions returns functions that set each condition of a filter, by name.
// Times are those of records, and those just before and after.
func conditions(records []*history.Record) map[string]func(*history.Filter) {
	first, some, last := records[0].Time, records[len(records)/2].Time, records[len(records)-1].Time
	resources := func(of ...schema.GroupResource) func(*history.Filter) {
		return func(f *history.Filter) { f.Resources = of }
	}
	regarding := func(name string, uid types.UID) func(*history.Filter) {
		return func(f *history.Filter) {
			f.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: name, UID: uid}
		}
	}
	view := func(v history.View) func(*history.Filter) { return func(f *history.Filter) { f.View = v } }
	return map[string]func(*history.Filter){
		"from a record on":        func(f *history.Filter) { f.Start = some },
		"from after a record on":  func(f *history.Filter) { f.Start = some.Add(1) },
		"from before 1970":        func(f *history.Filter) { f.Start = time.Unix(-1, 0) },
		"from the far future on":  func(f *history.Filter) { f.Start = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		"up to a record":          func(f *history.Filter) { f.End = some },
		"up to after a record":    func(f *history.Filter) { f.End = some.Add(1) },
		"up to the first":         func(f *history.Filter) { f.End = first },
		"up to after the last":    func(f *history.Filter) { f.End = last.Add(1) },
		"up to the far future":    func(f *history.Filter) { f.End = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		"of pods":                 resources(pods()),
		"of pods and nodes":       resources(pods(), schema.GroupResource{Resource: "nodes"}),
		"of another group's pods": resources(schema.GroupResource{Group: "example.com", Resource: "pods"}),
		"of an unknown resource":  resources(schema.GroupResource{Resource: "unknown"}),
		"in a namespace":          func(f *history.Filter) { f.Namespace = "shop" },
		"in no namespace":         func(f *history.Filter) { f.Namespace = history.ClusterScoped },
		"in an unknown namespace": func(f *history.Filter) { f.Namespace = "unknown" },
		"of a name":               func(f *history.Filter) { f.Name = "web" },
		"of an unknown name":      func(f *history.Filter) { f.Name = "we" },
		"of a UID":                func(f *history.Filter) { f.UID = "uid-web" },
		"created or deleted": func(f *history.Filter) {
			f.Verbs = []history.Verb{history.Create, history.Delete}
		},
		"updated":                  func(f *history.Filter) { f.Verbs = []history.Verb{history.Update} },
		"regarding a pod":          regarding("web", ""),
		"regarding an incarnation": regarding("web", "uid-web"),
		"regarding another":        regarding("web", "another"),
		"owned":                    func(f *history.Filter) { f.Owner = "owner-2" },
		"written by a manager":     func(f *history.Filter) { f.Managers = []string{"kubelet"} },
		"written by two managers":  func(f *history.Filter) { f.Managers = []string{"unknown", "kubectl"} },
		"of two revisions":         func(f *history.Filter) { f.Revisions = []uint64{2, 4} },
		"root changes":             func(f *history.Filter) { f.Classes = []history.Class{history.Root} },
		"root changes and onsets": func(f *history.Filter) {
			f.Classes = []history.Class{history.Root, history.Onset}
		},
		"consequences":     func(f *history.Filter) { f.Classes = []history.Class{history.Consequence} },
		"visible: nothing": view(history.View{}),
		"visible: pods":    view(history.View{pods(): {All: true}}),
		"visible: pods of a namespace": view(history.View{
			pods(): {Namespaces: map[string]time.Time{"shop": {}, "unknown": {}}},
		}),
		"visible: pods of a namespace, all nodes": view(history.View{
			pods(): {Namespaces: map[string]time.Time{"shop": {}}}, {Resource: "nodes"}: {All: true},
			{Resource: "unknown"}: {All: true},
		}),
		"visible: cluster-scoped": view(history.View{
			pods():              {Namespaces: map[string]time.Time{"": {}}},
			{Resource: "nodes"}: {Namespaces: map[string]time.Time{"": {}}},
		}),
		"visible: pods of present namespaces": view(history.View{
			pods(): {Namespaces: map[string]time.Time{"shop": recreation, "db": recreation}},
		}),
		"visible: a namespace and many unknown ones": view(history.View{
			pods(): {Namespaces: manyNamespaces()}, {Resource: "events"}: {Namespaces: manyNamespaces()},
		}),
	}
}
