package store_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// month is a sample cluster of constant size and rate, in which some pods never
// change.
type month struct {
	next    func() history.NewVersion
	clock   *clock
	newest  map[history.ObjectRef]*history.Record // the newest versions of live objects
	deleted map[history.ObjectRef]time.Time
}

// day appends a day's versions in 24 batches, and prunes after each.
func (m *month) day(t *testing.T, s *store.Store, rate int) {
	t.Helper()
	for range 24 {
		records := take(rate/24, m.next)
		appendVersions(t, s, records...)
		for _, r := range records {
			if m.newest[r.Ref] = r.Record; r.Verb == history.Delete {
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

// check checks that every live object has its newest version, that objects
// deleted before the retention have none, and that no scan yields older
// records.
func (m *month) check(t *testing.T, s *store.Store) {
	t.Helper()
	for ref, want := range m.newest {
		got, err := s.Latest(t.Context(), ref)
		if err != nil || !got.Time.Equal(want.Time) || !bytes.Equal(got.Object, want.Object) {
			t.Fatalf("newest version of %s: got %v, %v, want that of %v", ref, got, err, want.Time)
		}
	}
	horizon := m.clock.t.Add(-store.DefaultRetention)
	n := 0
	for ref, at := range m.deleted {
		if n++; n > 2000 || !at.Before(horizon) {
			continue
		}
		if got, err := s.Latest(t.Context(), ref); history.CodeOf(err) != history.NotFound {
			t.Fatalf("%s, deleted at %v: got version %v, %v, want a NotFound error", ref, at, got, err)
		}
	}
	for _, r := range all(t, s, history.Scan{Limit: 1}) {
		if r.Time.Before(horizon) {
			t.Errorf("got a record of %v, want none before %v", r.Time, horizon)
		}
	}
}

// TestPrune_KeepsSizeConstant records a month at a constant rate with a
// retention of two weeks. On day 30, the tables and the number of objects must
// be as large as on day 15.
func TestPrune_KeepsSizeConstant(t *testing.T) {
	const rate = 1200 // with fewer versions, a single table matters too much
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
	t.Logf("day 15: %d bytes, %d objects; day 30: %d bytes, %d objects; %d versions a day",
		sizes[15], objects[15], sizes[30], objects[30], rate)
	if r := float64(sizes[30]) / float64(sizes[15]); r < 0.9 || r > 1.1 {
		t.Errorf("size of the tables on day 30: got %.3f times that of day 15, want from 0.9 to 1.1", r)
	}
	if r := float64(objects[30]) / float64(objects[15]); r > 1.1 {
		t.Errorf("objects on day 30: got %.3f times those of day 15, want at most 1.1", r)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}
