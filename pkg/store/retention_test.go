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

// noon returns the middle of the nth day, counted from today.
func noon(n int) time.Time { return day(time.Now()).Add(time.Duration(n)*24*time.Hour + 12*time.Hour) }

// calendar appends the versions of five days:
//
//   - still never changes, and has a body of several parts.
//   - web changes every day, as deltas.
//   - late changes on day 4.
//   - gone is deleted on day 2.
//   - back is deleted on day 2 and created again on day 4.
//   - again is like back, and deleted again on day 5.
//
// The resourceVersion of a version is its day. Those of web also have a second
// digit.
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
		versionsOf("late", history.Update, 1, 4), versionsOf("gone", history.Create, 1),
		versionsOf("gone", history.Delete, 2),
		versionsOf("back", history.Create, 1, 4), versionsOf("back", history.Delete, 2),
		versionsOf("again", history.Create, 1, 4), versionsOf("again", history.Delete, 2, 5),
	}
	for d := 1; d <= 5; d++ {
		c.t = noon(d)
		versions(t, s, d*10, d*10+5) // of web
		for _, e := range events {
			if r := e[d]; r != nil {
				appendTo(t, s, r)
			}
		}
	}
}

// asOf returns the resourceVersion of an object at a time, or "" if it did not
// exist.
func asOf(t *testing.T, s *store.Store, name string, at time.Time) string {
	t.Helper()
	sc := history.Scan{Filter: history.Filter{Name: name, End: at}, Order: history.NewestFirst, Limit: 1, Bodies: true}
	for _, r := range all(t, s, sc) {
		if name == "still" && !bytes.Equal(r.Object, random(600_000)) ||
			name == "web" && !bytes.Contains(r.Object, []byte(`"`+r.RV+`"`)) {
			t.Errorf("%s at %v: got body %.40q, want that of resourceVersion %s", name, at, r.Object, r.RV)
		}
		if r.Verb != history.Delete {
			return r.RV
		}
	}
	return ""
}

// checkCalendar checks every object's state at the beginning of days 4 and 5,
// and now.
func checkCalendar(t *testing.T, s *store.Store, when string) {
	t.Helper()
	for name, want := range map[string][3]string{
		"still": {"1", "1", "1"}, "web": {"35", "45", "55"}, "late": {"1", "4", "4"},
		"gone": {}, "back": {"", "4", "4"},
		"again": {"", "4", ""},
	} {
		got := [3]string{asOf(t, s, name, day(noon(4))), asOf(t, s, name, day(noon(5))), asOf(t, s, name, noon(6))}
		if got != want {
			t.Errorf("%s: %s: got %q, want %q", when, name, got, want)
		}
	}
}

// TestPrune_ByAge checks that days older than the retention are dropped from
// disk, that no answer changes, and that the heads of deleted objects are
// removed.
func TestPrune_ByAge(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	opts := store.Options{Now: c.now, Retention: 36 * time.Hour}
	s := open(t, dir, opts)
	calendar(t, s, c)
	before := all(t, s, history.Scan{})
	c.t = day(noon(5)).Add(12*time.Hour + time.Second) // the retention begins just after the beginning of day 4
	checkCalendar(t, s, "before pruning")
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkCalendar(t, s, "pruned")
	if after := all(t, s, history.Scan{}); len(after) == 0 || diff(before, after) != "" {
		t.Errorf("a scan of all records after pruning: got %d records; difference (-want +got):\n%s",
			len(after), diff(before, after))
	}
	if gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{}); err != nil || len(gaps) != 0 {
		t.Errorf("gaps before the retention: got %+v, %v, want none", gaps, err)
	}
	if u := s.Usage(); u.Dropped[store.ByAge].Days != 3 || u.Dropped[store.BySize].Days != 0 ||
		!u.Oldest.Equal(before[0].Time) || u.Bytes == 0 {
		t.Errorf("got usage %+v, want three days dropped by age and the oldest record at %v", u, before[0].Time)
	}
	s = reopen(t, s, dir, opts)
	checkCalendar(t, s, "opened again")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, opts.Retention, false); n != 2*6+4 {
		t.Errorf("got %d records, want %d: those of two days", n, 2*6+4)
	}
	d := dumped(t, dir)
	if n := d.count('i'); n != 5 {
		t.Errorf("got %d objects, want 5: all but the deleted one", n)
	}
	if _, ok := d.values[string(key.RetentionFloor())]; !ok {
		t.Error("got no retention floor, want one")
	}
}

// TestPrune_KeepsAnswerableDays checks that neither days within the retention
// nor the day of the newest record are dropped.
func TestPrune_KeepsAnswerableDays(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	opts := store.Options{Now: c.now, Retention: 36 * time.Hour}
	s := open(t, dir, opts)
	if err := s.Prune(t.Context()); err != nil {
		t.Errorf("prune an empty log: got %v, want no error", err)
	}
	calendar(t, s, c)
	c.t = day(noon(3)).Add(12*time.Hour - 1) // day 1 ends a nanosecond after the beginning of the retention
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
			t.Errorf("got %d dropped days, want %d", got, want)
		}
	}
	for name, want := range map[string]string{
		"still": "1", "web": "55", "late": "4", "back": "4", "again": "", "gone": "",
	} {
		if got := asOf(t, s, name, c.t); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestPrune_BySize checks that the oldest days are dropped while the files
// exceed the limit, and that the newest day is kept in any case. Each resource
// with dropped records must get a gap.
func TestPrune_BySize(t *testing.T) {
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
		t.Fatalf("prune within the limit: got %v, %+v, want nothing dropped", err, s.Usage())
	}
	opts.MaxBytes = 1
	s = reopen(t, s, dir, opts)
	for range 2 {
		if err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Dropped[store.BySize].Days != 4 || u.Limit != 1 {
		t.Errorf("got usage %+v, want four days dropped by size and limit 1", u)
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 {
		t.Errorf("got %d errors about the limit, want 1: %s", n, said.String())
	}
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil || len(gaps) != 2 {
		t.Fatalf("got gaps %+v, %v, want one of pods and one of nodes", gaps, err)
	}
	for _, g := range gaps {
		end := day(noon(5))
		if g.Resource == "nodes" {
			end = day(noon(2))
		}
		if g.Reason != history.GapDropped || !g.Start.Equal(first) || !g.End.Equal(end) {
			t.Errorf("got gap %+v, want %s from %v to %v", g, history.GapDropped, first, end)
		}
	}
	if got := len(all(t, s, history.Scan{})); got != 7 {
		t.Errorf("got %d records, want 7: those of the newest day", got)
	}
	for name, want := range map[string]string{
		"still": "1", "web": "45", "late": "4", "back": "4", "again": "4", "gone": "", "node": "1",
	} {
		if got := asOf(t, s, name, day(noon(5))); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}

// TestPrune_ForgetsDeletedObjects drops the day of an object's deletion, and
// the object's head with it. If the object is created again, it begins with
// revision 1, without reopening the log.
func TestPrune_ForgetsDeletedObjects(t *testing.T) {
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
		t.Errorf("got revision %d, want 1", back.Revision)
	}
	if got := all(t, s, history.Scan{Filter: history.Filter{Name: "back"}, Bodies: true}); len(got) != 1 ||
		got[0].RV != "4" {
		t.Errorf("got %d versions %v, want one with resourceVersion 4", len(got), got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, store.DefaultRetention, false)
}

// TestPrune_DropsByAgeLeaveGaps checks that days dropped by age are a gap once
// they are within the retention again. Without the gap, their records would
// seem never to have existed.
func TestPrune_DropsByAgeLeaveGaps(t *testing.T) {
	const days = 24 * time.Hour
	for name, again := range map[string]struct {
		retention time.Duration // from then on
		clock     int           // the day of the clock from then on
	}{
		"a longer retention": {30 * days, 8},
		"a clock set back":   {3 * days, 5},
		"unchanged":          {3 * days, 8},
		"a day later":        {3 * days, 9},
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
			if err := s.Prune(t.Context()); err != nil { // drops days 1 to 4
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
					t.Errorf("got gaps %+v, want none: the dropped days are older than the retention", gaps)
				}
				return
			}
			if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].Resource != "pods" ||
				gaps[0].Start.After(noon(1)) ||
				!gaps[0].End.Equal(day(noon(5))) {
				t.Errorf("got gaps %+v, want one of pods from the first record to %s", gaps, day(noon(5)))
			}
			if records := all(t, s, history.Scan{}); len(records) != 2 {
				t.Errorf("got %d records, want 2: those of the days that are kept", len(records))
			}
		})
	}
}

// TestPrune_GapBySizeBeginsWithinRetention checks that the gap of a day dropped
// by size does not include days that were dropped by age before.
func TestPrune_GapBySizeBeginsWithinRetention(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(1)}
	s := open(t, dir, store.Options{Retention: 24 * time.Hour, Now: c.now})
	for d := 1; d <= 3; d++ {
		c.t = noon(d)
		appendTo(t, s, pod("web", "1", history.Update))
	}
	if err := s.Prune(t.Context()); err != nil { // drops day 1
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, store.Options{Retention: 24 * time.Hour, Now: c.now, MaxBytes: 1})
	if err := s.Prune(t.Context()); err != nil { // drops day 2
		t.Fatal(err)
	}
	gaps, err := s.Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil || len(gaps) != 1 || gaps[0].Start.Before(noon(2)) || !gaps[0].End.Equal(day(noon(3))) {
		t.Errorf("got gaps %+v, %v, want one from %s to %s", gaps, err, noon(2), day(noon(3)))
	}
}
