package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// noon returns the middle of the nth day of the tests' calendar, which begins today.
func noon(n int) time.Time { return day(time.Now()).Add(time.Duration(n)*24*time.Hour + 12*time.Hour) }

// calendar appends what happens on five days: an object that never changes, with a body of several parts; one that changes every
// day, as deltas; one that changes on the fourth day; one that is deleted on the second; one that is deleted on the second and
// comes back on the fourth; and one that does so and is deleted again on the fifth. Every version's resourceVersion tells its day.
func calendar(t *testing.T, s *store.Store, c *clock) {
	t.Helper()
	still := pod("still", "1", history.Create)
	still.Object = random(600_000)
	versionsOf := func(name string, verb history.Verb, days ...int) map[int]*history.Record {
		m := map[int]*history.Record{}
		for _, d := range days {
			m[d] = pod(name, fmt.Sprint(d), verb)
		}
		return m
	}
	events := []map[int]*history.Record{
		{1: still},
		versionsOf("late", history.Update, 1, 4), versionsOf("gone", history.Create, 1), versionsOf("gone", history.Delete, 2),
		versionsOf("back", history.Create, 1, 4), versionsOf("back", history.Delete, 2),
		versionsOf("again", history.Create, 1, 4), versionsOf("again", history.Delete, 2, 5),
	}
	for d := 1; d <= 5; d++ {
		c.t = noon(d)
		versions(t, s, d*10, d*10+5) // of the object "web"
		for _, e := range events {
			if r := e[d]; r != nil {
				appendTo(t, s, r)
			}
		}
	}
}

// asOf returns the resourceVersion of the state of an object at a time; "" where it did not exist.
func asOf(t *testing.T, s *store.Store, name string, at time.Time) string {
	t.Helper()
	sc := history.Scan{Filter: history.Filter{Name: name, End: at}, Order: history.NewestFirst, Limit: 1, Bodies: true}
	for _, r := range all(t, s, sc) {
		if name == "still" && !bytes.Equal(r.Object, random(600_000)) || name == "web" && !bytes.Contains(r.Object, []byte(`"`+r.RV+`"`)) {
			t.Errorf("the body of %s at %v is another", name, at)
		}
		if r.Verb != history.Delete {
			return r.RV
		}
	}
	return ""
}

// checkCalendar checks every object's state at the beginning of the fourth and the fifth day, and now.
func checkCalendar(t *testing.T, s *store.Store, when string) {
	t.Helper()
	for name, want := range map[string][3]string{
		"still": {"1", "1", "1"}, "web": {"35", "45", "55"}, "late": {"1", "4", "4"}, "gone": {}, "back": {"", "4", "4"},
		"again": {"", "4", ""},
	} {
		got := [3]string{asOf(t, s, name, day(noon(4))), asOf(t, s, name, day(noon(5))), asOf(t, s, name, noon(6))}
		if got != want {
			t.Errorf("%s, %s is %q, want %q", when, name, got, want)
		}
	}
}

// TestPruneByAge checks that days which lie behind the retention as a whole are gone from the disk, that no answer changes by
// that, and that what is kept once an object goes with the object.
func TestPruneByAge(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	opts := store.Options{Now: c.now, Retention: 36 * time.Hour}
	s := open(t, dir, opts)
	calendar(t, s, c)
	before := all(t, s, history.Scan{})
	c.t = day(noon(5)).Add(12*time.Hour + time.Second) // the horizon is just behind the beginning of the fourth day
	checkCalendar(t, s, "before pruning")
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkCalendar(t, s, "pruned")
	if after := all(t, s, history.Scan{}); len(after) == 0 || diff(before, after) != "" {
		t.Errorf("pruning changes a page of everything: %s", diff(before, after))
	}
	if gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{}); err != nil || len(gaps) != 0 {
		t.Errorf("gaps of what is older than the retention: %+v, %v", gaps, err)
	}
	if u := s.Usage(); u.Dropped[store.ByAge].Days != 3 || u.Dropped[store.BySize].Days != 0 || !u.Oldest.Equal(before[0].Time) || u.Bytes == 0 {
		t.Errorf("usage is %+v, want three days by age", u)
	}
	s = reopen(t, s, dir, opts)
	checkCalendar(t, s, "opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, opts.Retention, false); n != 2*6+4 {
		t.Errorf("%d records are left, want those of two days", n)
	}
	d := dumped(t, dir)
	if n := d.count('i'); n != 5 {
		t.Errorf("%d objects are left, want all but the deleted one", n)
	}
	if _, ok := d.values[string(key.RetentionFloor())]; !ok {
		t.Error("no floor")
	}
}

// TestPruneNothing checks that nothing is dropped that may be answered, and never the day that is being recorded.
func TestPruneNothing(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	opts := store.Options{Now: c.now, Retention: 36 * time.Hour}
	s := open(t, dir, opts)
	if err := s.Prune(t.Context()); err != nil {
		t.Errorf("an empty log: %v", err)
	}
	calendar(t, s, c)
	c.t = day(noon(3)).Add(12*time.Hour - 1) // the first day ends a nanosecond behind the horizon
	for _, idle := range []time.Duration{0, 100 * 24 * time.Hour} {
		c.t = c.t.Add(idle)
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := uint64(0)
		if idle > 0 {
			want = 4
		}
		if got := s.Usage().Dropped[store.ByAge].Days; got != want {
			t.Errorf("%d days were dropped, want %d", got, want)
		}
	}
	for name, want := range map[string]string{"still": "1", "web": "55", "late": "4", "back": "4", "again": "", "gone": ""} {
		if got := asOf(t, s, name, c.t); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestPruneBySize checks that the oldest days go while the files are larger than the limit, that a gap says from when until when
// of each resource that had records, and that what is recorded now is worth more than the limit.
func TestPruneBySize(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	var said bytes.Buffer
	opts := store.Options{Now: c.now, MaxBytes: 1, Logger: slog.New(slog.NewTextHandler(&said, nil))}
	s := open(t, dir, opts)
	node := pod("node", "1", history.Create)
	node.Ref.Resource, node.Ref.Namespace = "nodes", ""
	appendTo(t, s, node)
	calendar(t, s, c)
	first := all(t, s, history.Scan{Limit: 1})[0].Time
	opts.MaxBytes = 1 << 40
	s = reopen(t, s, dir, opts)
	if err := s.Prune(t.Context()); err != nil || len(s.Usage().Dropped) != 0 {
		t.Fatalf("within the limit: %v, %+v", err, s.Usage())
	}
	opts.MaxBytes = 1
	s = reopen(t, s, dir, opts)
	for range 2 {
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Dropped[store.BySize].Days != 4 || u.Limit != 1 {
		t.Errorf("usage is %+v, want four days by size", u)
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 {
		t.Errorf("it is said %d times that the limit can't be kept, want once: %s", n, said.String())
	}
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil || len(gaps) != 2 {
		t.Fatalf("gaps are %+v, %v; want one of pods and one of nodes", gaps, err)
	}
	for _, g := range gaps {
		end := day(noon(5))
		if g.Resource == "nodes" {
			end = day(noon(2))
		}
		if g.Reason != history.GapDropped || !g.Start.Equal(first) || !g.End.Equal(end) {
			t.Errorf("gap is %+v, want from %v to %v", g, first, end)
		}
	}
	if got := len(all(t, s, history.Scan{})); got != 7 {
		t.Errorf("%d records, want those of the newest day", got)
	}
	for name, want := range map[string]string{"still": "1", "web": "45", "late": "4", "back": "4", "again": "4", "gone": "", "node": "1"} {
		if got := asOf(t, s, name, day(noon(5))); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}

// TestAnObjectThatWasRemovedBeginsAnew drops the day of an object's deletion, and with it what was kept once the object. Should it come
// back, in the same life of the log, it is another one.
func TestAnObjectThatWasRemovedBeginsAnew(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	appendTo(t, s, pod("back", "1", history.Create), pod("back", "2", history.Delete))
	c.t = noon(30)
	appendTo(t, s, pod("other", "3", history.Create))
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := pod("back", "4", history.Create)
	appendTo(t, s, back)
	if back.Revision != 1 {
		t.Errorf("its revision is %d", back.Revision)
	}
	if got := all(t, s, history.Scan{Filter: history.Filter{Name: "back"}, Bodies: true}); len(got) != 1 || got[0].RV != "4" {
		t.Errorf("%d versions of it are there: %v", len(got), got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}

// Days that are older than the retention are dropped without a word. Where they are not older any more, their absence has to be told:
// an empty stretch would say that nothing happened.
func TestDaysThatAreWithinTheRetentionAgainAreAGap(t *testing.T) {
	const days = 24 * time.Hour
	for name, again := range map[string]struct {
		retention time.Duration // from then on
		clock     int           // the day that it is then
	}{
		"a longer retention":      {30 * days, 8},
		"a clock that was wrong":  {3 * days, 5},
		"as it was":               {3 * days, 8},
		"a little older than now": {3 * days, 9},
	} {
		t.Run(name, func(t *testing.T) {
			dir, c := t.TempDir(), &clock{}
			s := open(t, dir, store.Options{Retention: 3 * days, Now: c.now})
			for d := 1; d <= 5; d++ {
				c.t = noon(d)
				appendTo(t, s, pod("web", "1", history.Update))
			}
			c.t = noon(8)
			appendTo(t, s, pod("web", "2", history.Update))
			if err := s.Prune(t.Context()); err != nil { // all days but the fifth and the eighth
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.t = noon(again.clock)
			s = open(t, dir, store.Options{Retention: again.retention, Now: c.now})
			gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if again.retention == 3*days && again.clock >= 8 {
				if len(gaps) > 0 {
					t.Errorf("gaps %+v, want none: all that is missing is older than the retention", gaps)
				}
				return
			}
			if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].Resource != "pods" || gaps[0].Start.After(noon(1)) ||
				!gaps[0].End.Equal(day(noon(5))) {
				t.Errorf("gaps %+v, want one from the first record on to the beginning of the fifth day, %s", gaps, day(noon(5)))
			}
			if records := all(t, s, history.Scan{}); len(records) != 2 {
				t.Errorf("%d records, want those of the days that are left", len(records))
			}
		})
	}
}

// What is dropped by size begins within the retention, whatever was dropped by age before it.
func TestALossBySizeDoesNotReachBackToWhatWasOld(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	s := open(t, dir, store.Options{Retention: 24 * time.Hour, Now: c.now})
	for d := 1; d <= 3; d++ {
		c.t = noon(d)
		appendTo(t, s, pod("web", "1", history.Update))
	}
	if err := s.Prune(t.Context()); err != nil { // the first day
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{Retention: 24 * time.Hour, Now: c.now, MaxBytes: 1})
	if err := s.Prune(t.Context()); err != nil { // the second
		t.Fatal(err)
	}
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil || len(gaps) != 1 || gaps[0].Start.Before(noon(2)) || !gaps[0].End.Equal(day(noon(3))) {
		t.Errorf("gaps %+v (%v), want one from the second noon to the end of that day", gaps, err)
	}
}
