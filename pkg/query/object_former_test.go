package query_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// The CRD was deleted and created again with another kind and another scope.
func TestObject_FindsBothDefinitionsOfRecreatedType(t *testing.T) {
	l := newLog(t)
	define := func(kind, singular string, namespaced bool) {
		t.Helper()
		if err := l.Register(t.Context(), history.Resource{
			Group: "toys.example", Version: "v1", Plural: "toys", Kind: kind,
			Singular: singular, Namespaced: namespaced,
		}); err != nil {
			t.Fatal(err)
		}
	}
	regarding := func(name, kind, namespace, uid string) *history.Record {
		e := event(name, ref("toys.example", "toys", namespace, "x", 9), types.UID(uid))
		e.Regarding.Group, e.Regarding.Kind = "toys.example", kind
		return e
	}
	before, after := ref("toys.example", "toys", "", "x", 1), ref("toys.example", "toys", "shop", "x", 2)
	define("Gadget", "gadget", false)
	l.put(record(before, history.Create, `{}`), regarding("of-the-old", "Gadget", "", string(before.UID)))
	define("Toy", "toy", true)
	define("Toy", "toy", true) // registering it again keeps the former definition
	l.put(record(after, history.Create, `{}`), regarding("of-the-new", "Toy", "shop", string(after.UID)))
	s := l.service(query.Options{})
	for _, kind := range []string{"toys", "Toy", "Gadget", "gadget.toys.example"} {
		for namespace, want := range map[history.NamespaceScope]struct {
			uid   types.UID
			event string
		}{history.ClusterScoped: {before.UID, "of-the-old"}, "shop": {after.UID, "of-the-new"}} {
			h := ask(t, s, query.Object{Namespace: namespace, Type: kind, Name: "x"})
			if len(h.Own.Versions) != 1 || h.Own.Versions[0].Ref.UID != want.uid {
				t.Errorf("%s in %q: got %d versions, want one of %s", kind, namespace, len(h.Own.Versions), want.uid)
			}
			if got := names(h.Related); !slices.Equal(got, []string{want.event}) {
				t.Errorf("%s in %q: got Events %q, want %q", kind, namespace, got, want.event)
			}
		}
	}
	seen, err := s.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range seen.Resources {
		if r.Plural == "toys" && (len(r.Former) != 1 || r.Former[0].Kind != "Gadget" || r.Former[0].Namespaced) {
			t.Errorf("got former definitions %+v, want the one of Gadget", r.Former)
		}
	}
}

// A former name is used only if nothing has the name today.
func TestMatching_PrefersPresentNames(t *testing.T) {
	toys := history.Resource{Group: "a", Plural: "toys", Kind: "Toy"}.After(history.Resource{
		Kind: "Gadget", Singular: "gadget",
	})
	gadgets := history.Resource{Group: "b", Plural: "gadgets", Kind: "Gadget"}
	for arg, want := range map[string]string{"gadget": "b", "gadget.a": "a", "toy": "a", "gadgets": "b"} {
		got := history.Matching([]history.Resource{toys, gadgets}, arg)
		if len(got) != 1 || got[0].Group != want {
			t.Errorf("%s: got %+v, want the one of group %s", arg, got, want)
		}
	}
}
