package store_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// A resource that had a checkpoint before it was registered has no Since: it is
// unknown when its recording began.
func TestResources_SinceStaysUnknown(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{NoSync: true})
	pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}
	checkpoint := func(rv string) {
		t.Helper()
		b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: rv}}}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint("1") // the catalogue has no entry that could get a Since
	if err := s.Register(t.Context(), pods); err != nil {
		t.Fatal(err)
	}
	checkpoint("2")
	got, err := s.Resources(t.Context())
	if err != nil || len(got) != 1 || !got[0].Since.IsZero() {
		t.Errorf("got %+v, %v, want pods with a zero Since", got, err)
	}
}

// The Since of an excerpt's resources is not before its extent.
func TestExcerpt_KeepsSince(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, t.TempDir(), store.Options{NoSync: true, Now: func() time.Time { return now }})
	began := map[string]time.Time{}
	for _, plural := range []string{"pods", "services"} {
		if err := s.Register(t.Context(), history.Resource{Version: "v1", Plural: plural, Kind: plural}); err != nil {
			t.Fatal(err)
		}
		err := s.Append(t.Context(), &history.Batch{Checkpoints: []history.Checkpoint{{Resource: plural, RV: "1"}}})
		if err != nil {
			t.Fatal(err)
		}
		began[plural] = now
		now = now.Add(time.Hour)
	}
	start := began["pods"].Add(time.Minute)
	err := s.Excerpt(t.Context(), history.Extent{Start: start, End: now}, func(e *history.Excerpt) error {
		for _, r := range e.Catalogue {
			want, trimmed := began[r.Plural], false
			if r.Plural == "pods" {
				want, trimmed = start, true
			}
			if !r.Since.Equal(want) || r.Trimmed != trimmed {
				t.Errorf("%s: since %s, trimmed %t, want %s, %t", r.Plural, r.Since, r.Trimmed, want, trimmed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
