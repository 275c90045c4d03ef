package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func pod(name, rv string, verb history.Verb) *history.Record {
	return &history.Record{
		Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
		Version: "v1", Kind: "Pod", Verb: verb, RV: rv, Object: []byte(`{"kind":"Pod","rv":` + rv + `}`),
	}
}

func appendTo(tb testing.TB, s *store.Store, records ...*history.Record) {
	tb.Helper()
	if err := s.Append(tb.Context(), &history.Batch{Records: records}); err != nil {
		tb.Fatal(err)
	}
}

func all(tb testing.TB, s *store.Store, sc history.Scan) []*history.Record {
	tb.Helper()
	var list []*history.Record
	for r, err := range s.Scan(tb.Context(), sc) {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// TestEveryKey appends one version of everything there is and looks at the database key by key: a missing index entry, a
// missing TTL and one too many are found here.
func TestEveryKey(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	opts := store.Options{Retention: 24 * time.Hour, Now: c.now}
	s := open(t, dir, opts)
	ev := pod("web.1", "3", history.Create)
	ev.Ref.Resource, ev.Kind = "events", "Event"
	ev.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: "web"}
	owned := pod("web", "1", history.Create)
	owned.Owners = []types.UID{"a", "b"}
	node := pod("node", "4", history.Create)
	node.Ref.Resource, node.Ref.Namespace = "nodes", ""
	appendTo(t, s, owned, pod("web", "2", history.Update), ev, node, pod("gone", "5", history.Create),
		pod("gone", "6", history.Update), pod("gone", "7", history.Delete),
		pod("back", "8", history.Delete), pod("back", "9", history.Update))
	c.t = c.t.Add(time.Hour)
	appendTo(t, s, pod("back", "10", history.Update), pod("gone", "11", history.Delete))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, opts.Retention, false); n != 11 {
		t.Errorf("%d records, want 11", n)
	}
}

// TestCheckpointAlone checks what a bookmark does.
func TestCheckpointAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	gr := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for _, rv := range []string{"7", "8"} {
		if err := s.Append(t.Context(), &history.Batch{Checkpoints: []history.Checkpoint{{Group: gr.Group, Resource: gr.Resource, RV: rv}}}); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s, dir, store.Options{})
		if c, err := s.Checkpoint(t.Context(), gr); err != nil || c.RV != rv {
			t.Errorf("checkpoint %+v, %v; want %s", c, err, rv)
		}
	}
}

func TestCatalogue(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	deploy := history.Resource{Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true}
	pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}
	old := deploy
	old.Version = "v1beta1"
	for _, r := range []history.Resource{old, pods, deploy} {
		if err := s.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	s = reopen(t, s, dir, store.Options{})
	got, err := s.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]history.Resource{pods, deploy}, got); d != "" {
		t.Error(d)
	}
}

// TestInvalid checks that nothing of a batch with a mistake is committed, and that the log goes on.
func TestInvalid(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	for what, spoil := range map[string]func(*history.Record){
		"verb":      func(r *history.Record) { r.Verb = 0 },
		"resource":  func(r *history.Record) { r.Ref.Resource = "" },
		"name":      func(r *history.Record) { r.Ref.Name = "" },
		"namespace": func(r *history.Record) { r.Ref.Namespace = history.NoNamespace },
		"long":      func(r *history.Record) { r.Ref.Namespace = string(make([]byte, 2000)) },
	} {
		r := pod("bad", "1", history.Create)
		spoil(r)
		err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{pod("good", "1", history.Create), r}})
		if history.CodeOf(err) != history.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := len(all(t, s, history.Scan{})); n != 0 {
		t.Errorf("%d records of invalid batches", n)
	}
	appendTo(t, s, pod("good", "1", history.Create))
}
