package store_test

import (
	"testing"
	"time"

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
