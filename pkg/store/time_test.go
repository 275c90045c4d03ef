package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestClock checks that times stay unique and increasing when the clock stands still, jumps back, and when the log is
// opened again meanwhile.
func TestClock(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now().UTC()}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	var last time.Time
	for i, step := range []time.Duration{0, 0, -time.Hour, 0, time.Second, -24 * time.Hour} {
		c.t = c.t.Add(step)
		r := pod("web", fmt.Sprint(i), history.Update)
		appendTo(t, s, r)
		if !r.Time.After(last) || r.Revision != uint64(i+1) {
			t.Fatalf("step %d: %v, revision %d, after %v", i, r.Time, r.Revision, last)
		}
		last = r.Time
		s = reopen(t, s, dir, opts)
	}
	if got := all(t, s, history.Scan{}); len(got) != 6 || !got[5].Time.Equal(last) {
		t.Errorf("%d records, the last at %v", len(got), last)
	}
}

// TestRetention checks that nothing older than the retention is answered, to the nanosecond, though it is still there; but of an
// object by its name the version that stands still.
func TestRetention(t *testing.T) {
	c := &clock{time.Now().UTC()}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: time.Hour})
	first, second, gone := pod("web", "1", history.Create), pod("web", "2", history.Update), pod("gone", "3", history.Delete)
	appendTo(t, s, first, gone, second)
	c.t = second.Time.Add(time.Hour)
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("%d records at the end of the retention, want 1", n)
	}
	named := history.Scan{Filter: history.Filter{Name: "web"}}
	if n := len(all(t, s, named)); n != 2 {
		t.Errorf("%d records of an object that changed within the retention, want that and what stood before", n)
	}
	c.t = c.t.Add(1)
	if n := len(all(t, s, history.Scan{})); n != 0 {
		t.Errorf("%d records behind the retention, want 0", n)
	}
	if got := all(t, s, named); len(got) != 1 || got[0].RV != "2" || !got[0].Time.Equal(second.Time) {
		t.Errorf("%+v of an object that changed before the retention, want its newest version", got)
	}
	if _, err := s.Latest(t.Context(), gone.Ref); history.CodeOf(err) != history.NotFound {
		t.Errorf("latest of what was deleted before the retention: %v", err)
	}
}
