package storetest_test

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func readingFaults() []fault {
	return []fault{
		{"swaps two records", []string{"RecordsReadAsAppended", "FilterSelectsMatchingRecords"}, func(b *broken) {
			b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record {
				if n := len(list); n > 1 {
					list[n-1], list[n-2] = list[n-2], list[n-1]
				}
				return list
			})
		}},
		{"shows reserved resources", []string{"ReservedResourcesOnlyByName"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) {
				if len(sc.Resources) == 0 {
					sc.Resources = append(history.ReservedResources(),
						schema.GroupResource{Resource: "pods"}, schema.GroupResource{Resource: "nodes"})
				}
			})
		}},
		{"ignores the end", []string{"FilterSelectsMatchingRecords"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) { sc.End = time.Time{} })
		}},
		{"counts one too many", []string{"CountEqualsScan"}, func(b *broken) {
			b.count = func(n int) int { return n + 1 }
		}},
		{"forgets an object", []string{"ObjectsAreTheirFirstRecords"}, func(b *broken) {
			b.objects = func(first []*history.Record, complete bool) ([]*history.Record, bool) {
				return first[:max(len(first)-1, 0)], complete
			}
		}},
		{"says that all objects are there", []string{"ObjectsAreTheirFirstRecords"}, func(b *broken) {
			b.objects = func(first []*history.Record, _ bool) ([]*history.Record, bool) { return first, true }
		}},
		{"misses what a filter selects", []string{"MayMatchMissesNothing"}, func(b *broken) {
			b.mayMatch = func(may []bool) { clear(may) }
		}},
		{"includes the end", []string{"FilterSelectsMatchingRecords"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) {
				if !sc.End.IsZero() {
					sc.End = sc.End.Add(1)
				}
			})
		}},
		{"mistakes no namespace for all namespaces", []string{"FilterSelectsMatchingRecords"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) {
				if sc.Namespace == history.ClusterScoped {
					sc.Namespace = history.AllNamespaces
				}
			})
		}},
		{"ignores the manager", []string{"FilterSelectsMatchingRecords"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) { sc.Managers = nil })
		}},
		{"returns one more than the limit", []string{"PagesAreComplete"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) {
				if sc.Limit > 0 {
					sc.Limit++
				}
			})
		}},
		{"cuts a page before it filters", []string{"PagesAreComplete"}, func(b *broken) {
			b.scan = func(ctx context.Context, sc history.Scan) records {
				wide := sc
				wide.Filter = history.Filter{}
				return func(yield func(*history.Record, error) bool) {
					for r, err := range b.Log.Scan(ctx, wide) {
						if (err != nil || sc.Matches(r)) && !yield(r, err) {
							return
						}
					}
				}
			}
		}},
		{"repeats the last record of a page", []string{"PagesAreComplete"}, func(b *broken) {
			b.changeScan(func(sc *history.Scan) {
				if !sc.After.IsZero() {
					sc.After.Time = sc.After.Add([]time.Duration{-1, 1}[sc.Order])
				}
			})
		}},
		{"pages by offset", []string{"CursorValidDuringAppends"}, func(b *broken) {
			b.scan = func(ctx context.Context, sc history.Scan) records {
				return func(yield func(*history.Record, error) bool) {
					offset, n := b.offset, 0
					if sc.After.IsZero() {
						offset = 0
					}
					b.offset = offset + sc.Limit
					sc.After = history.Cursor{}
					whole := sc
					whole.Limit = 0
					for r, err := range b.Log.Scan(ctx, whole) {
						if n++; n > offset && (!yield(r, err) || n == b.offset) {
							return
						}
					}
				}
			}
		}},
		{"sees appends during a scan", []string{"ScanIsSnapshot"}, func(b *broken) {
			b.scan = func(ctx context.Context, sc history.Scan) records {
				sc.Limit = 1
				return func(yield func(*history.Record, error) bool) {
					for more := true; more; {
						more = false
						for r, err := range b.Log.Scan(ctx, sc) {
							if !yield(r, err) {
								return
							}
							more, sc.After.Time = true, r.Time
						}
					}
				}
			}
		}},
		{"shares its records", []string{"ResultsBelongToCaller"}, func(b *broken) {
			kept := map[time.Time]*history.Record{}
			b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record {
				for i, r := range list {
					if kept[r.Time] == nil {
						kept[r.Time] = r
					}
					list[i] = kept[r.Time]
				}
				return list
			})
		}},
		{"has holes", []string{"ReadersSeePrefixDuringAppends"}, func(b *broken) {
			b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record {
				return slices.DeleteFunc(list, func(r *history.Record) bool { return r.Revision == 7 })
			})
		}},
	}
}

// old reports whether a record is older than the retention, if the test set
// one.
func (b *broken) old(r *history.Record) bool {
	return b.opts.Retention > 0 && r.Time.Before(b.opts.Now().Add(-b.opts.Retention))
}

func forgettingFaults() []fault {
	dropsOld := func(b *broken) {
		b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record {
			return slices.DeleteFunc(list, b.old)
		})
	}
	return []fault{
		{"returns expired records", []string{"RecordsExpireWithRetention"}, func(b *broken) {
			b.opts.Retention *= 100
		}},
		{"forgets baselines", []string{
			"BaselinesAreReturned", "UnchangedObjectsOutliveRetention",
		}, dropsOld},
		{"prunes baselines", []string{"PruneByAgeChangesNoResult"}, func(b *broken) {
			b.prune = func(ctx context.Context) error {
				dropsOld(b)
				return b.Log.Prune(ctx)
			}
		}},
		{"drops without a gap", []string{"PruneBySizeAddsGaps"}, func(b *broken) {
			b.gaps = func([]history.Gap) []history.Gap { return nil }
		}},
		{"drops nothing", []string{"PruneBySizeAddsGaps"}, func(b *broken) {
			b.prune = func(context.Context) error { return nil }
		}},
		{"loses appends during a prune", []string{"AppendsDuringPrune"}, func(b *broken) {
			var pruning atomic.Bool
			b.prune = func(ctx context.Context) error {
				pruning.Store(true)
				return b.Log.Prune(ctx)
			}
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				if pruning.Load() {
					return nil
				}
				return b.Log.Append(ctx, batch)
			}
		}},
		{"looks for the record of a cursor", []string{"CursorValidDuringPrune"}, func(b *broken) {
			b.scan = func(ctx context.Context, sc history.Scan) records {
				if n, _, _ := b.Log.Count(ctx, history.Filter{Start: sc.After.Time, End: sc.After.Add(1)}, 1); n == 0 &&
					!sc.After.IsZero() {
					return func(yield func(*history.Record, error) bool) {
						yield(nil, history.Errorf(history.Invalid, "no record has the cursor's time"))
					}
				}
				return b.Log.Scan(ctx, sc)
			}
		}},
		{"ends a scan at dropped records", []string{"ScanCompleteOrFailsDuringPrune"}, endsQuietly},
	}
}

// endsQuietly ends scans without an error instead of an unavailable one.
func endsQuietly(b *broken) {
	b.scan = func(ctx context.Context, sc history.Scan) records {
		return func(yield func(*history.Record, error) bool) {
			for r, err := range b.Log.Scan(ctx, sc) {
				if history.CodeOf(err) == history.Unavailable || !yield(r, err) {
					return
				}
			}
		}
	}
}

func otherFaults() []fault {
	return []fault{
		{"continues a scan after close", []string{"CloseEndsScansWithError"}, func(b *broken) {
			b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record { return list })
		}},
		{"is empty after close", []string{"ClosedLogIsUnavailable"}, endsQuietly},
		{"continues a scan after its context", []string{"ContextEndsScansAndAppends"}, func(b *broken) {
			b.scan = func(ctx context.Context, sc history.Scan) records {
				return b.Log.Scan(context.WithoutCancel(ctx), sc)
			}
		}},
		{"appends after its context", []string{"ContextEndsScansAndAppends"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				return b.Log.Append(context.WithoutCancel(ctx), batch)
			}
		}},
	}
}
