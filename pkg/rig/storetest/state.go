package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// stateOf returns the state of records at a time, by its definition: the newest
// version of each object, without deletions, as far as the filter selects them.
// An object that was first observed later, up to another time, has its first
// version if it existed before.
func stateOf(records []*history.Record, f history.Filter, at, until time.Time) (state []*history.Record) {
	newest, known := map[history.ObjectRef]*history.Record{}, map[history.ObjectRef]bool{}
	for _, r := range records {
		existed := !known[r.Ref] && r.Initial && !r.Created.After(at) && !r.Time.After(until)
		if !r.Time.After(at) || existed {
			newest[r.Ref] = r
		}
		known[r.Ref] = true
	}
	for _, r := range newest {
		if r.Verb != history.Delete && f.Matches(r) {
			state = append(state, r)
		}
	}
	slices.SortFunc(state, func(a, b *history.Record) int { return a.Ref.Compare(b.Ref) })
	return state
}

// differencesOf returns the differences of two states, by their definition.
func differencesOf(records []*history.Record, f history.Filter, from, to time.Time) (all []history.Difference) {
	by := map[history.ObjectRef]*history.Difference{}
	of := func(r *history.Record) *history.Difference {
		if by[r.Ref] == nil {
			by[r.Ref] = &history.Difference{}
		}
		return by[r.Ref]
	}
	for _, r := range stateOf(records, f, from, to) {
		of(r).Before = r
	}
	for _, r := range stateOf(records, f, to, to) {
		of(r).After = r
	}
	for _, d := range by {
		if d.Before != d.After {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(a, b history.Difference) int { return a.Ref().Compare(b.Ref()) })
	return all
}

// state returns the versions of a state.
func (s *subject) state(sc history.StateScan) (list []*history.Record) {
	s.t.Helper()
	for r, err := range s.State(s.t.Context(), sc) {
		if err != nil {
			s.t.Fatalf("state %+v: %v", sc, err)
		}
		list = append(list, r)
	}
	return list
}

// differences returns the differences of a comparison.
func (s *subject) differences(sc history.CompareScan) (list []history.Difference) {
	s.t.Helper()
	for d, err := range s.Compare(s.t.Context(), sc) {
		if err != nil {
			s.t.Fatalf("compare %+v: %v", sc, err)
		}
		list = append(list, d)
	}
	return list
}

// moments returns some times of records, and times next to them.
func moments(records []*history.Record) (times []time.Time) {
	times = append(times, records[0].Time.Add(-time.Hour), records[len(records)-1].Time.Add(time.Hour))
	for i := 0; i < len(records); i += 3 {
		times = append(times, records[i].Time.Add(-1), records[i].Time)
	}
	return append(times, records[len(records)-1].Time)
}

// stateHasVersionsOfItsTime reads the state at each time with each filter.
func stateHasVersionsOfItsTime(s *subject) {
	records := s.population()
	for what, f := range filters(records) {
		for _, at := range moments(records) {
			got := s.state(history.StateScan{Filter: f, At: at})
			s.same(fmt.Sprintf("state at %s of records %s", at, what), read(false, stateOf(records, f, at, at)...), got)
			until := at.Add(20 * time.Hour)
			got = s.state(history.StateScan{Filter: f, At: at, Until: until})
			s.same(fmt.Sprintf("state at %s of records %s, as it is known at %s", at, what, until),
				read(false, stateOf(records, f, at, until)...), got)
		}
	}
	s.reopen()
	for _, at := range moments(records) {
		got := s.state(history.StateScan{At: at, Bodies: true})
		s.same(fmt.Sprintf("state at %s after reopening", at),
			read(true, stateOf(records, history.Filter{}, at, at)...), got)
	}
}

// statePagesAreComplete reads states and comparisons page by page. Before each
// page of a state, a record is appended after the state's time.
func statePagesAreComplete(s *subject) {
	records := s.population()
	at := moments(records)
	s.now = s.now.Add(2 * time.Hour) // after all moments
	asked := conditions(records)
	asked["everything"] = func(*history.Filter) {}
	for what, narrow := range asked {
		var f history.Filter
		narrow(&f)
		for i, to := range at {
			for _, limit := range []int{1, 3} {
				want := read(true, stateOf(records, f, to, to)...)
				got := s.statePages(history.StateScan{Filter: f, At: to, Limit: limit, Bodies: true})
				s.same(fmt.Sprintf("state at %s of records %s, by %d", to, what, limit), want, got)
			}
			from := at[i/2]
			if from.After(to) {
				from, to = to, from
			}
			want := differencesOf(records, f, from, to)
			got := s.comparePages(history.CompareScan{Filter: f, From: from, To: to, Limit: 1})
			if len(got) != len(want) {
				s.t.Errorf("from %s to %s of records %s, by 1: got %d differences, want %d",
					from, to, what, len(got), len(want))
			}
		}
	}
}

// statePages reads a state page by page. It converts each position to text and
// back, and appends records before the first pages.
func (s *subject) statePages(sc history.StateScan) (list []*history.Record) {
	s.t.Helper()
	n := 0 // pages
	return readPages(s, sc.Limit, func(last *history.Record) []*history.Record {
		if last != nil {
			c := history.StateCursor{At: sc.At, After: last.Ref}
			back, err := history.ParseStateCursor(c.String())
			if err != nil {
				s.t.Fatal(err)
			}
			sc.After = back.After
		}
		if n < 2 {
			s.put(version("web", fmt.Sprint("later-", n), history.Update),
				version(fmt.Sprint("later-", n), "1", history.Create))
		}
		n++
		return s.state(sc)
	})
}

// comparePages reads a comparison page by page.
func (s *subject) comparePages(sc history.CompareScan) (list []history.Difference) {
	s.t.Helper()
	return readPages(s, sc.Limit, func(last history.Difference) []history.Difference {
		if last != (history.Difference{}) {
			sc.After = last.Ref()
		}
		return s.differences(sc)
	})
}

// comparisonIsDifference compares the states at some times with each condition.
func comparisonIsDifference(s *subject) {
	records := s.population()
	times := moments(records)
	slices.SortFunc(times, time.Time.Compare)
	asked := conditions(records)
	asked["everything"] = func(*history.Filter) {}
	for what, narrow := range asked {
		var f history.Filter
		narrow(&f)
		for i, from := range times {
			for _, to := range times[i:] {
				want := differencesOf(records, f, from, to)
				got := s.differences(history.CompareScan{Filter: f, From: from, To: to, Bodies: true})
				if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
					s.t.Errorf("from %s to %s, records %s (-want +got):\n%s", from, to, what, cmp.Diff(want, got))
				}
			}
		}
	}
}

// stateOfRetentionOnly reads states of a week before and after it was pruned.
// Versions from before the retention are part of them. States from before the
// retention are not found.
func stateOfRetentionOnly(s *subject) {
	s = s.another(s.t, Options{Retention: 36 * time.Hour})
	records := s.week()
	s.now = s.noon(5).Add(time.Hour)
	oldest := s.now.Add(-s.opts.Retention).UTC()
	check := func(when string) {
		s.t.Helper()
		for _, at := range []time.Time{oldest, s.midnight(5), records[len(records)-1].Time, s.now} {
			got := s.state(history.StateScan{At: at, Bodies: true})
			s.same(fmt.Sprintf("%s, state at %s", when, at),
				read(true, stateOf(records, history.Filter{}, at, at)...), got)
			want := differencesOf(records, history.Filter{}, oldest, at)
			if d := cmp.Diff(want, s.differences(history.CompareScan{From: oldest, To: at, Bodies: true})); d != "" {
				s.t.Errorf("%s, differences until %s (-want +got):\n%s", when, at, d)
			}
		}
		for _, at := range []time.Time{oldest.Add(-2), s.midnight(0)} {
			var state, compared error
			for _, err := range s.State(s.t.Context(), history.StateScan{At: at}) {
				state = err
			}
			for _, err := range s.Compare(s.t.Context(), history.CompareScan{From: at, To: s.now}) {
				compared = err
			}
			if history.CodeOf(state) != history.NotFound || history.CodeOf(compared) != history.NotFound {
				s.t.Errorf("%s, at %s: got errors %v and %v, want not found", when, at, state, compared)
			}
		}
	}
	check("before pruning")
	for range 2 {
		if err := s.Prune(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		check("after pruning")
	}
	s.reopen()
	check("after reopening")
	s.put(version("still", "100", history.Delete))
	got := s.state(history.StateScan{Filter: history.Filter{Name: "still"}, At: oldest, Bodies: true})
	s.same("object that was deleted since", read(true, records[0]), got)
}
