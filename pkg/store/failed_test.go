package store_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestFailed checks that a log that could not commit takes nothing more until it is opened again, and is read meanwhile.
func TestFailed(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	appendTo(t, s, pod("web", "1", history.Create))
	before := c.t
	c.t = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) // beyond what keys can carry
	lost := pod("web", "2", history.Update)
	if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{lost}}); err == nil || !lost.Time.IsZero() {
		t.Fatalf("appended at %v: %v", lost.Time, err)
	}
	c.t = before
	if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{lost}}); history.CodeOf(err) != history.Internal {
		t.Errorf("append behind a failure: %v", err)
	}
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	s = reopen(t, s, dir, opts)
	appendTo(t, s, lost)
	if lost.Revision != 2 {
		t.Errorf("revision %d, want 2", lost.Revision)
	}
}
