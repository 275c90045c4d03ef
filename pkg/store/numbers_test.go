package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// mostNumbers is how many resources, and how many kinds, a log can tell apart.
const mostNumbers = 65535

// TestWhatHasNoNumberLeftIsRefusedAndTheLogGoesOn fills the dictionaries of resources and of kinds.
func TestWhatHasNoNumberLeftIsRefusedAndTheLogGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	appendTo(t, s, pod("web", "1", history.Create))
	const at = 4369 // a fifteenth of them
	for i := range mostNumbers / at {
		b := &history.Batch{}
		for n := range at {
			if n += i * at; n == 0 { // that of the pod
				continue
			}
			b.Checkpoints = append(b.Checkpoints, history.Checkpoint{Resource: fmt.Sprintf("r%d", n), RV: "1"})
			r := pod("other", "2", history.Update)
			r.Kind, r.Object = fmt.Sprintf("K%d", n), nil
			b.Records = append(b.Records, r)
		}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	kind, resource := pod("web", "3", history.Update), pod("web", "3", history.Update)
	kind.Kind, resource.Ref.Resource = "New", "news"
	full := map[string]*history.Batch{
		"a kind":                    {Records: []*history.Record{pod("web", "2", history.Update), kind}},
		"a resource":                {Records: []*history.Record{resource}},
		"a resource's checkpoint":   {Checkpoints: []history.Checkpoint{{Resource: "news", RV: "1"}}},
		"a resource's gap":          {Gaps: []history.Gap{{Resource: "news", Start: time.Now(), Reason: history.GapExpired}}},
		"a resource and known ones": {Records: []*history.Record{pod("web", "2", history.Update)}, Checkpoints: []history.Checkpoint{{Resource: "news"}}},
	}
	for range 2 {
		for name, b := range full {
			if err := s.Append(t.Context(), b); history.CodeOf(err) != history.Invalid {
				t.Errorf("%s that can have no number: %v", name, err)
			}
		}
		if err := s.Register(t.Context(), history.Resource{Version: "v1", Plural: "news", Kind: "Pod"}); history.CodeOf(err) != history.Invalid {
			t.Errorf("register a resource that can have no number: %v", err)
		}
		if err := s.Register(t.Context(), history.Resource{Version: "v2", Plural: "pods", Kind: "Pod"}); history.CodeOf(err) != history.Invalid {
			t.Errorf("register a kind that can have no number: %v", err)
		}
		err := errors.Join(
			s.Register(t.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}),
			s.Append(t.Context(), &history.Batch{
				Records:     []*history.Record{pod("web", "4", history.Update)},
				Checkpoints: []history.Checkpoint{{Resource: fmt.Sprintf("r%d", mostNumbers-1), RV: "2"}},
			}))
		if err != nil {
			t.Fatalf("what is known: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, store.Options{NoSync: true})
	}
	scan := history.Scan{Filter: history.Filter{Name: "web"}}
	var rvs []string
	for _, r := range all(t, s, scan) {
		rvs = append(rvs, r.RV)
	}
	if !slices.Equal(rvs, []string{"1", "4", "4"}) {
		t.Errorf("versions %v, want those that were taken", rvs)
	}
}
