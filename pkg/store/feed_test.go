package store_test

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

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

// The memory of namespaces is bounded. Those that are forgotten are reported as
// unknown.
func TestActive_IsBounded(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	start, _ := s.Committed()
	const namespaces, most = 3000, 1024
	var all []*history.Record
	for i := range namespaces {
		r := pod("a", "1", history.Create)
		r.Ref.Namespace, r.Ref.UID = fmt.Sprint("ns-", i), types.UID(fmt.Sprint("uid-", i))
		all = append(all, r)
	}
	appendTo(t, s, all...)
	a := s.Active(start)
	if len(a.Newest) > most {
		t.Errorf("got %d namespaces, want at most %d", len(a.Newest), most)
	}
	for _, r := range all {
		if at, known := a.Newest[r.Ref.Namespace]; known && !at.Equal(r.Time) || !known && r.Time.After(a.Unknown) {
			t.Errorf("%s at %v: got %v, unknown until %v, want its time or a later unknown time",
				r.Ref.Namespace, r.Time, at, a.Unknown)
		}
	}
	if again := s.Active(history.Cursor{Time: a.Unknown}); !again.Unknown.IsZero() {
		t.Errorf("after the unknown time: got unknown until %v, want none", again.Unknown)
	}
}
