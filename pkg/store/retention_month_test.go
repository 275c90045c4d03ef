package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// month is a cluster of a steady size that changes at a steady rate, in which some pods never change again.
type month struct {
	next    func() *history.Record
	clock   *clock
	newest  map[history.ObjectRef]*history.Record // the last version of every object that is alive
	deleted map[history.ObjectRef]time.Time
}

// day appends a day's versions, as 24 batches, and prunes after each.
func (m *month) day(t *testing.T, s *store.Store, rate int) {
	t.Helper()
	for range 24 {
		records := take(rate/24, m.next)
		appendTo(t, s, records...)
		for _, r := range records {
			if m.newest[r.Ref] = r; r.Verb == history.Delete {
				delete(m.newest, r.Ref)
				m.deleted[r.Ref] = r.Time
			}
		}
		m.clock.t = m.clock.t.Add(time.Hour)
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// check checks that every object that is alive has its newest version, that what was deleted before the retention has none, and that
// no page has anything older.
func (m *month) check(t *testing.T, s *store.Store) {
	t.Helper()
	for ref, want := range m.newest {
		got, err := s.Latest(t.Context(), ref)
		if err != nil || !got.Time.Equal(want.Time) || !bytes.Equal(got.Object, want.Object) {
			t.Fatalf("newest version of %s is %v, %v; want that of %v", ref, got, err, want.Time)
		}
	}
	horizon := m.clock.t.Add(-store.DefaultRetention)
	n := 0
	for ref, at := range m.deleted {
		if n++; n > 2000 || !at.Before(horizon) {
			continue
		}
		if got, err := s.Latest(t.Context(), ref); history.CodeOf(err) != history.NotFound {
			t.Fatalf("%s was deleted at %v, and has the version %v, %v", ref, at, got, err)
		}
	}
	for _, r := range all(t, s, history.Scan{Limit: 1}) {
		if r.Time.Before(horizon) {
			t.Errorf("a version of %v is answered, older than %v", r.Time, horizon)
		}
	}
}

// TestMonth records a month at a steady rate with two weeks of retention: at its end the tables are as large as in its middle, and
// so is what is kept once an object, though the objects are others.
func TestMonth(t *testing.T) {
	const rate = 1200 // fewer are a few tables, of which one more counts much
	dir := t.TempDir()
	m := &month{
		next: records(t, 200), clock: &clock{day(time.Now())}, newest: map[history.ObjectRef]*history.Record{},
		deleted: map[history.ObjectRef]time.Time{},
	}
	opts := store.Options{Now: m.clock.now}
	s := open(t, dir, opts)
	for _, name := range []string{"still-1", "still-2"} {
		r := pod(name, "1", history.Create)
		appendTo(t, s, r)
		m.newest[r.Ref] = r
	}
	sizes, objects := map[int]int64{}, map[int]int{}
	for n := 1; n <= 30; n++ {
		m.day(t, s, rate)
		if n != 15 && n != 30 {
			continue
		}
		m.check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		sizes[n] = diskUse(t, dir)
		objects[n] = dumped(t, dir).count('i')
		s = open(t, dir, opts)
		m.check(t, s)
	}
	t.Logf("day 15: %d bytes, %d objects; day 30: %d bytes, %d objects; %d versions a day", sizes[15], objects[15], sizes[30], objects[30], rate)
	if r := float64(sizes[30]) / float64(sizes[15]); r < 0.9 || r > 1.1 {
		t.Errorf("at day 30 the tables are %.3f times as large as at day 15", r)
	}
	if r := float64(objects[30]) / float64(objects[15]); r > 1.1 {
		t.Errorf("at day 30 there are %.3f times as many objects as at day 15", r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}
