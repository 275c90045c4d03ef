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

// TestRetention checks that nothing older than the retention is answered, to the nanosecond, though it is still there.
func TestRetention(t *testing.T) {
	c := &clock{time.Now().UTC()}
	s := open(t, t.TempDir(), store.Options{Now: c.now, Retention: time.Hour})
	r := pod("web", "1", history.Create)
	appendTo(t, s, r)
	c.t = r.Time.Add(time.Hour)
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("%d records at the end of the retention, want 1", n)
	}
	c.t = c.t.Add(1)
	if n := len(all(t, s, history.Scan{})); n != 0 {
		t.Errorf("%d records behind the retention, want 0", n)
	}
	if _, err := s.Latest(t.Context(), r.Ref); history.CodeOf(err) != history.NotFound {
		t.Errorf("latest behind the retention: %v", err)
	}
}
