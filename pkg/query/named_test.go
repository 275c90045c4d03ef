package query_test

import (
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// TestAs_OtherNamesDoNotShow compares the answers about a name before and after
// another object of the namespace changes. The caller may get only the object
// with the name.
func TestAs_OtherNamesDoNotShow(t *testing.T) {
	l := newLog(t)
	l.begin("pods", "events")
	old := created(l.now.Add(-time.Hour))
	for i := range 2 {
		web := ref("", "pods", "shop", "web", i+1)
		l.put(record(web, history.Create, old))
	}
	l.now = l.now.Add(time.Second)
	end := l.now
	caller := newRights("get pods shop/web", "list events shop/")
	caller.namespaces["shop"] = time.Unix(0, 0)
	now := end.Add(2 * time.Second)
	s := l.service(query.Options{Now: func() time.Time { return now }}).As(caller)
	type shown struct {
		final [3]bool
		next  history.StateCursor
	}
	ask := func() (got shown) {
		t.Helper()
		page, err := s.Timeline(t.Context(), query.Timeline{
			Filter: history.Filter{Namespace: "shop", Name: "web", End: end}, Types: []string{"pods"}, Limit: 10,
		})
		if err != nil || page.Count != 2 {
			t.Fatalf("timeline: got %d versions, error %v, want 2", page.Count, err)
		}
		object, err := s.Object(t.Context(), query.Object{
			Namespace: "shop", Type: "pods", Name: "web", End: end, Limit: 10,
		})
		if err != nil || object.Own.Count != 2 {
			t.Fatalf("object: got %d versions, error %v, want 2", object.Own.Count, err)
		}
		state, err := s.State(t.Context(), query.State{
			Objects: query.Objects{Types: []string{"pods"}, Namespace: "shop", Name: "web"}, At: end, Limit: 1,
		})
		if err != nil || len(state.Versions) != 1 || !state.More {
			t.Fatalf("state: got %d versions, more %t, error %v, want the first of 2",
				len(state.Versions), state.More, err)
		}
		return shown{[3]bool{page.Final, object.Final, state.Final}, state.Next}
	}
	before := ask()
	l.put(record(ref("", "pods", "shop", "other", 1), history.Create, old))
	if after := ask(); after.final != before.final || after.next != before.next {
		t.Errorf("after a change of another object: got %+v, want %+v", after, before)
	}
	if slices.Contains(before.final[:], true) {
		t.Errorf("got final answers %v, want none: the question's time may go on", before.final)
	}
}
