package store_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// bottom is the time before which nothing is answered but what stood then.
func (m *model) bottom() time.Time {
	if b := m.clock.t.Add(-m.retention); b.After(m.floor) {
		return b
	}
	return m.floor
}

// prune takes over that the log dropped what it has to: the days that are older than the retention or, with all, every day but
// the newest. Objects that were deleted in a day that is gone, and have not come back, begin anew.
func (m *model) prune(all bool) {
	if len(m.records) == 0 {
		return
	}
	until := day(m.records[len(m.records)-1].Time)
	if aged := day(m.clock.t.Add(-m.retention)); !all && aged.Before(until) {
		until = aged
	}
	newest := map[history.ObjectRef]*history.Record{}
	for _, r := range m.records {
		newest[r.Ref] = r
		if next := day(r.Time).Add(24 * time.Hour); !next.After(until) && next.After(m.floor) {
			m.floor = next
		}
	}
	for ref, r := range newest {
		if r.Verb == history.Delete && r.Time.Before(m.floor) {
			delete(m.revisions, ref)
		}
	}
}

// day returns the beginning of a time's day.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// checkLosses checks that a gap covers whatever is younger than the retention and was dropped.
func (m *model) checkLosses(t *testing.T, s *store.Store) {
	t.Helper()
	for _, r := range m.records {
		if r.Time.Before(m.clock.t.Add(-m.retention)) || !r.Time.Before(m.floor) {
			continue
		}
		gaps, err := s.Gaps(t.Context(), []schema.GroupResource{r.Ref.GroupResource()}, r.Time, r.Time.Add(1))
		if err != nil {
			t.Fatal(err)
		}
		if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].End.After(m.floor) {
			t.Fatalf("a version of %s at %v is gone, and the gaps are %+v", r.Ref, r.Time, gaps)
		}
	}
}
