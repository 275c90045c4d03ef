package store_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestMayMatch_ExcludesByKeys checks what the log can exclude without reading a
// record: owners and targets that no version has in the filter's time. The
// owner of a baseline is not excluded. Many filters have the same results as
// few.
func TestMayMatch_ExcludesByKeys(t *testing.T) {
	c := &clock{noon(1)}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: 36 * time.Hour})
	owned := func(name, owner string) {
		r := pod(name, "1", history.Create)
		r.Owners = []types.UID{types.UID(owner)}
		r.Regarding = &history.Target{Kind: "Node", Name: "of-" + owner}
		appendVersions(t, s, history.NewVersion{Record: r})
	}
	owned("still", "dropped")
	c.t = noon(4)
	owned("late", "kept")
	c.t = noon(5)
	owned("later", "new")
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	regarding := func(name string) *history.Target { return &history.Target{Kind: "Node", Name: name} }
	tests := []struct {
		what   string
		filter history.Filter
		want   bool
	}{
		{"the owner of a baseline", history.Filter{Owner: "dropped"}, true},
		{"the owner of a baseline, later", history.Filter{Owner: "dropped", Start: noon(4)}, false},
		{"an owner", history.Filter{Owner: "kept"}, true},
		{"an owner, until its version", history.Filter{Owner: "kept", End: noon(4)}, false},
		{"an owner, after its version", history.Filter{Owner: "kept", Start: noon(4).Add(time.Minute)}, false},
		{"an owner, later", history.Filter{Owner: "new", Start: noon(4).Add(time.Minute)}, true},
		{"no owner", history.Filter{Owner: "none"}, false},
		{"a target", history.Filter{Regarding: regarding("of-kept")}, true},
		{"no target", history.Filter{Regarding: regarding("of-none")}, false},
		{"a name", history.Filter{Name: "late"}, true},
	}
	for _, others := range []int{0, 100} {
		var filters []history.Filter
		for _, tt := range tests {
			filters = append(filters, tt.filter)
		}
		for i := range others {
			filters = append(filters, history.Filter{Owner: types.UID(fmt.Sprint("other-", i))})
		}
		got, err := s.MayMatch(t.Context(), filters)
		if err != nil {
			t.Fatal(err)
		}
		for i, tt := range tests {
			if got[i] != tt.want {
				t.Errorf("%s, with %d others: got %t, want %t", tt.what, others, got[i], tt.want)
			}
		}
		for i := range others {
			if got[len(tests)+i] {
				t.Errorf("owner %d: got that the log may have it, want no", i)
			}
		}
	}
}
