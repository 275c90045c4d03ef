package storetest_test

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func stateFaults() []fault {
	changeState := func(change func(*history.StateScan)) func(*broken) {
		return func(b *broken) {
			b.state = func(ctx context.Context, sc history.StateScan) records {
				change(&sc)
				return b.Log.State(ctx, sc)
			}
		}
	}
	changeCompare := func(change func(*history.CompareScan)) func(*broken) {
		return func(b *broken) {
			b.compare = func(ctx context.Context, sc history.CompareScan) changes {
				change(&sc)
				return b.Log.Compare(ctx, sc)
			}
		}
	}
	return []fault{
		{
			"excludes versions of the state's time",
			[]string{"StateHasVersionsOfItsTime"},
			changeState(func(sc *history.StateScan) { sc.At = sc.At.Add(-1) }),
		},
		{
			"returns only the present state",
			[]string{"StateHasVersionsOfItsTime", "StateOfRetentionOnly"},
			changeState(func(sc *history.StateScan) { sc.At = sc.At.Add(100 * 24 * time.Hour) }),
		},
		{
			"ignores the view of a state",
			[]string{"StateHasVersionsOfItsTime"},
			changeState(func(sc *history.StateScan) { sc.View = nil }),
		},
		{"returns deleted objects", []string{"StateHasVersionsOfItsTime"}, returnsDeleted},
		{"returns only versions of the retention", []string{"StateOfRetentionOnly"}, func(b *broken) {
			b.state = func(ctx context.Context, sc history.StateScan) records {
				return func(yield func(*history.Record, error) bool) {
					for r, err := range b.Log.State(ctx, sc) {
						if (err != nil || !b.old(r)) && !yield(r, err) {
							return
						}
					}
				}
			}
		}},
		{
			"ignores the limit of a state",
			[]string{"StatePagesAreComplete"},
			changeState(func(sc *history.StateScan) { sc.Limit = 0 }),
		},
		{
			"repeats the last object of a page",
			[]string{"StatePagesAreComplete"},
			changeState(func(sc *history.StateScan) { sc.After.UID = "" }),
		},
		{
			"omits objects that were first observed after a state's time",
			[]string{"StateHasVersionsOfItsTime"},
			changeState(func(sc *history.StateScan) { sc.Until = time.Time{} }),
		},
		{
			"compares with the version before",
			[]string{"ComparisonIsDifferenceOfStates"},
			changeCompare(func(sc *history.CompareScan) { sc.From = sc.From.Add(-1) }),
		},
		{
			"compares with the present",
			[]string{"ComparisonIsDifferenceOfStates"},
			changeCompare(func(sc *history.CompareScan) { sc.To = sc.To.Add(100 * 24 * time.Hour) }),
		},
		{
			"compares what the view hides",
			[]string{"ComparisonIsDifferenceOfStates"},
			changeCompare(func(sc *history.CompareScan) { sc.View = nil }),
		},
		{"takes a first observation for a creation", []string{"ComparisonIsDifferenceOfStates"}, func(b *broken) {
			b.compare = func(ctx context.Context, sc history.CompareScan) changes {
				return func(yield func(history.Difference, error) bool) {
					for d, err := range b.Log.Compare(ctx, sc) {
						if err == nil && d.After != nil && d.Before != nil && d.Before.Time.After(sc.From) {
							d.Before = nil
						}
						if !yield(d, err) {
							return
						}
					}
				}
			}
		}},
		{"omits deletions", []string{"ComparisonIsDifferenceOfStates"}, func(b *broken) {
			b.compare = func(ctx context.Context, sc history.CompareScan) changes {
				return func(yield func(history.Difference, error) bool) {
					for d, err := range b.Log.Compare(ctx, sc) {
						if (err != nil || d.After != nil) && !yield(d, err) {
							return
						}
					}
				}
			}
		}},
	}
}

// returnsDeleted adds the deletions before a state's time to the state.
func returnsDeleted(b *broken) {
	b.state = func(ctx context.Context, sc history.StateScan) records {
		return func(yield func(*history.Record, error) bool) {
			for r, err := range b.Log.State(ctx, sc) {
				if !yield(r, err) {
					return
				}
			}
			deleted := history.Scan{Filter: sc.Filter, Bodies: sc.Bodies}
			deleted.Verbs, deleted.End = []history.Verb{history.Delete}, sc.At.Add(1)
			for r, err := range b.Log.Scan(ctx, deleted) {
				if !yield(r, err) {
					return
				}
			}
		}
	}
}
