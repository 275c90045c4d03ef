package store_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

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
