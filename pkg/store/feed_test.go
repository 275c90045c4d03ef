package store_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestKept_IgnoresReservedResources advances the clock past the retention of a
// document. A stream has no documents, so nothing of it is lost.
func TestKept_IgnoresReservedResources(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s := open(t, t.TempDir(), store.Options{Retention: time.Hour, Now: c.now})
	appendTo(t, s, pod("a", "1", history.Create))
	after, _ := s.Committed()
	c.t = c.t.Add(time.Minute)
	document := pod("version", "1", history.Create)
	document.Ref.Group, document.Ref.Resource = history.Documents().Group, history.Documents().Resource
	document.Ref.Namespace = ""
	appendTo(t, s, document)
	c.t = c.t.Add(2 * time.Hour)
	if from, err := s.Kept(t.Context(), after); err != nil || !from.Equal(after.Time) {
		t.Errorf("after a document: got kept from %v, error %v, want %v", from, err, after)
	}
	appendTo(t, s, pod("b", "1", history.Create))
	c.t = c.t.Add(2 * time.Hour)
	if from, err := s.Kept(t.Context(), after); err != nil || from.Equal(after.Time) {
		t.Errorf("after a pod: got kept from %v, error %v, want a later position", from, err)
	}
}
