package storetest_test

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// fault is a way of breaking promises.
type fault struct {
	does   string
	breaks []string // the promises whose tests must fail
	inject func(*broken)
}

// faults returns at least one fault for each promise.
func faults() []fault {
	return slices.Concat(writingFaults(), currentFaults(), readingFaults(), stateFaults(),
		forgettingFaults(), feedFaults(), otherFaults())
}

func writingFaults() []fault {
	return []fault{
		{"drops the last record of a batch", []string{"RecordsReadAsAppended"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				if n := len(batch.Versions); n > 1 {
					batch.Versions = batch.Versions[:n-1]
				}
			})
		}},
		{"loses summaries", []string{"RecordsReadAsAppended"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Summary = nil
				}
			})
		}},
		{"follows a clock that jumps back", []string{"TimesIncreaseWhenClockJumps"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				err := b.Log.Append(ctx, batch)
				for i, r := range batch.Versions {
					r.Time = b.opts.Now().Add(time.Duration(i))
				}
				return err
			}
		}},
		{"identifies objects by name", []string{"RevisionsCountVersionsOfIncarnation"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Ref.UID = types.UID(r.Ref.Name)
				}
			})
		}},
		{"numbers from 0", []string{"RevisionsCountVersionsOfIncarnation"}, func(b *broken) {
			b.changeResults(func(_ history.Scan, list []*history.Record) []*history.Record {
				for _, r := range list {
					r.Revision--
				}
				return list
			})
		}},
		{"commits records before a mistake", []string{"InvalidBatchChangesNothing"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				for _, r := range batch.Versions {
					if err := b.Log.Append(ctx, &history.Batch{Versions: []history.NewVersion{r}}); err != nil {
						return err
					}
				}
				return b.Log.Append(ctx, &history.Batch{Checkpoints: batch.Checkpoints, Gaps: batch.Gaps})
			}
		}},
		{"commits record by record", []string{"BatchIsAtomic"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				for _, r := range batch.Versions {
					if err := b.Log.Append(ctx, &history.Batch{Versions: []history.NewVersion{r}}); err != nil {
						return err
					}
				}
				return nil
			}
		}},
		{"ends a batch at its transaction's size", []string{"BatchOfThousandsOfRecords"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				batch.Versions = batch.Versions[:min(len(batch.Versions), 4096)]
			})
		}},
		{"trusts hints", []string{"WrongHintsChangeNothing"}, believesHints},
		{"cuts objects at a mebibyte", []string{"ObjectsOfAnySize"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Object = r.Object[:min(len(r.Object), 1<<20)]
				}
			})
		}},
		{"converts names to UTF-8", []string{"NamesOfAnyBytes"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Ref.Name = strings.ToValidUTF8(r.Ref.Name, "?")
				}
			})
		}},
		{"ends namespaces with a NUL", []string{"NamesOfAnyBytes"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Ref.Namespace, _, _ = strings.Cut(r.Ref.Namespace, "\x00")
				}
			})
		}},
	}
}

// believesHints stores only the bytes that differ between a version and its
// hint, and applies them to the real previous version.
func believesHints(b *broken) {
	bodies := map[history.ObjectRef][]byte{}
	b.changeBatch(func(batch *history.Batch) {
		for _, r := range batch.Versions {
			before := bodies[r.Ref]
			bodies[r.Ref] = r.Object
			if len(r.Before) != len(r.Object) || len(before) != len(r.Object) {
				continue
			}
			was := r.Object
			r.Object = slices.Clone(before)
			for i, c := range was {
				if c != r.Before[i] {
					r.Object[i] = c
				}
			}
		}
	})
}

func currentFaults() []fault {
	return []fault{
		{"commits checkpoints first", []string{"CheckpointNotNewerThanRecords"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				if err := b.Log.Append(ctx, &history.Batch{Checkpoints: batch.Checkpoints}); err != nil {
					return err
				}
				time.Sleep(time.Millisecond) // as on a busy machine
				return b.Log.Append(ctx, &history.Batch{Versions: batch.Versions})
			}
		}},
		{"can't withdraw a checkpoint", []string{"CheckpointIsLastCommitted"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				batch.Checkpoints = slices.DeleteFunc(slices.Clone(batch.Checkpoints), func(c history.Checkpoint) bool {
					return c.RV == ""
				})
			})
		}},
		{"dates checkpoints itself", []string{"CheckpointKeepsItsTime"}, func(b *broken) {
			b.checkpoint = func(c history.Checkpoint) history.Checkpoint { c.Time = b.opts.Now(); return c }
		}},
		{"can't end a gap", []string{"GapIsOpenUntilItEnds"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				batch.Gaps = slices.DeleteFunc(slices.Clone(batch.Gaps), func(g history.Gap) bool { return !g.Open() })
			})
		}},
		{"forgets a gap", []string{"GapIsOpenUntilItEnds", "GapsCommitWithTheirBatch"}, func(b *broken) {
			b.gaps = func(gaps []history.Gap) []history.Gap { return gaps[min(1, len(gaps)):] }
		}},
		{"commits gaps first", []string{"GapsCommitWithTheirBatch", "InvalidBatchChangesNothing"}, func(b *broken) {
			b.commit = func(ctx context.Context, batch *history.Batch) error {
				if err := b.Log.Append(ctx, &history.Batch{Gaps: batch.Gaps}); err != nil {
					return err
				}
				return b.Log.Append(ctx, batch)
			}
		}},
		{"forgets a head", []string{"HeadsAreNewestVersionsOfLiveObjects"}, func(b *broken) {
			b.heads = func(all heads) heads {
				return func(yield func(history.Head, error) bool) {
					n := 0
					for h, err := range all {
						if n++; n > 1 && !yield(h, err) {
							return
						}
					}
				}
			}
		}},
		{"keeps deleted objects alive", []string{"HeadsAreNewestVersionsOfLiveObjects"}, func(b *broken) {
			b.changeBatch(func(batch *history.Batch) {
				for _, r := range batch.Versions {
					r.Verb = min(r.Verb, history.Update)
				}
			})
		}},
		{"returns any incarnation", []string{"LatestIsNewestVersion"}, func(b *broken) {
			b.latest = func(ctx context.Context, o history.ObjectRef) (*history.Record, error) {
				o.UID = ""
				return b.Log.Latest(ctx, o)
			}
		}},
		{"forgets when recording began", []string{"CatalogueKeepsWhenRecordingBegan"}, func(b *broken) {
			b.resources = func(r *history.Resource) { r.Since = time.Time{} }
		}},
		{"keeps the first names of a resource", []string{"CatalogueKeepsResources"}, func(b *broken) {
			known := map[string]bool{}
			b.register = func(ctx context.Context, r history.Resource) error {
				if name := r.GroupResource().String(); !known[name] {
					known[name] = true
					return b.Log.Register(ctx, r)
				}
				return nil
			}
		}},
		{"creates a key at each start", []string{"RedactionKeyIsStable"}, func(b *broken) {
			b.key = []byte(rand.Text())
		}},
		{"forgets checkpoints", []string{"EverythingSurvivesReopen"}, func(b *broken) {
			b.checkpoint = func(c history.Checkpoint) history.Checkpoint { c.RV = ""; return c }
			b.changeBatch(func(*history.Batch) { b.checkpoint = nil })
		}},
	}
}
