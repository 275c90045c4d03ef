package storetest_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/storetest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a log that keeps all promises.
func open(tb testing.TB, dir string, o storetest.Options) storetest.Log {
	tb.Helper()
	s, err := store.Open(dir, store.Options{Retention: o.Retention, Now: o.Now, MaxBytes: o.MaxBytes, NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

type (
	records = iter.Seq2[*history.Record, error]
	heads   = iter.Seq2[history.Head, error]
	changes = iter.Seq2[history.Difference, error]
)

// broken is a log whose methods behave differently if the corresponding
// function is set.
type broken struct {
	storetest.Log

	opts       storetest.Options
	scan       func(context.Context, history.Scan) records
	commit     func(context.Context, *history.Batch) error
	checkpoint func(history.Checkpoint) history.Checkpoint
	heads      func(heads) heads
	state      func(context.Context, history.StateScan) records
	compare    func(context.Context, history.CompareScan) changes
	latest     func(context.Context, history.ObjectRef) (*history.Record, error)
	gaps       func([]history.Gap) []history.Gap
	count      func(n int) int
	objects    func([]*history.Record, bool) ([]*history.Record, bool)
	mayMatch   func([]bool)
	register   func(context.Context, history.Resource) error
	resources  func(*history.Resource)
	prune      func(context.Context) error
	committed  func(history.Cursor, <-chan struct{}) (history.Cursor, <-chan struct{})
	active     func(history.Activity) history.Activity
	kept       func(after, from history.Cursor) history.Cursor
	key        []byte
	offset     int // of the next page
}

func (b *broken) Scan(ctx context.Context, sc history.Scan) records {
	if b.scan != nil {
		return b.scan(ctx, sc)
	}
	return b.Log.Scan(ctx, sc)
}

func (b *broken) Append(ctx context.Context, batch *history.Batch) error {
	if b.commit != nil {
		return b.commit(ctx, batch)
	}
	return b.Log.Append(ctx, batch)
}

func (b *broken) Checkpoint(ctx context.Context, r schema.GroupResource) (history.Checkpoint, error) {
	c, err := b.Log.Checkpoint(ctx, r)
	if b.checkpoint != nil {
		c = b.checkpoint(c)
	}
	return c, err
}

func (b *broken) Heads(ctx context.Context, r schema.GroupResource) heads {
	if b.heads != nil {
		return b.heads(b.Log.Heads(ctx, r))
	}
	return b.Log.Heads(ctx, r)
}

func (b *broken) State(ctx context.Context, sc history.StateScan) records {
	if b.state != nil {
		return b.state(ctx, sc)
	}
	return b.Log.State(ctx, sc)
}

func (b *broken) Compare(ctx context.Context, sc history.CompareScan) changes {
	if b.compare != nil {
		return b.compare(ctx, sc)
	}
	return b.Log.Compare(ctx, sc)
}

func (b *broken) Latest(ctx context.Context, o history.ObjectRef) (*history.Record, error) {
	if b.latest != nil {
		return b.latest(ctx, o)
	}
	return b.Log.Latest(ctx, o)
}

func (b *broken) Gaps(ctx context.Context, of []schema.GroupResource, start, end time.Time) ([]history.Gap, error) {
	gaps, err := b.Log.Gaps(ctx, of, start, end)
	if b.gaps != nil {
		gaps = b.gaps(gaps)
	}
	return gaps, err
}

func (b *broken) Count(ctx context.Context, f history.Filter, most int) (int, bool, error) {
	n, exact, err := b.Log.Count(ctx, f, most)
	if b.count != nil {
		n = b.count(n)
	}
	return n, exact, err
}

func (b *broken) Objects(ctx context.Context, sc history.Scan, most int) ([]*history.Record, bool, error) {
	first, complete, err := b.Log.Objects(ctx, sc, most)
	if b.objects != nil {
		first, complete = b.objects(first, complete)
	}
	return first, complete, err
}

func (b *broken) MayMatch(ctx context.Context, filters []history.Filter) ([]bool, error) {
	may, err := b.Log.MayMatch(ctx, filters)
	if b.mayMatch != nil {
		b.mayMatch(may)
	}
	return may, err
}

func (b *broken) Register(ctx context.Context, r history.Resource) error {
	if b.register != nil {
		return b.register(ctx, r)
	}
	return b.Log.Register(ctx, r)
}

func (b *broken) Resources(ctx context.Context) ([]history.Resource, error) {
	all, err := b.Log.Resources(ctx)
	for i := range all {
		if b.resources != nil {
			b.resources(&all[i])
		}
	}
	return all, err
}

func (b *broken) Prune(ctx context.Context) error {
	if b.prune != nil {
		return b.prune(ctx)
	}
	return b.Log.Prune(ctx)
}

func (b *broken) Committed() (history.Cursor, <-chan struct{}) {
	upTo, next := b.Log.Committed()
	if b.committed != nil {
		return b.committed(upTo, next)
	}
	return upTo, next
}

func (b *broken) Active(after history.Cursor) history.Activity {
	a := b.Log.Active(after)
	if b.active != nil {
		a = b.active(a)
	}
	return a
}

func (b *broken) Kept(ctx context.Context, after history.Cursor) (history.Cursor, error) {
	from, err := b.Log.Kept(ctx, after)
	if b.kept != nil {
		from = b.kept(after, from)
	}
	return from, err
}

func (b *broken) RedactionKey() []byte {
	if b.key != nil {
		return b.key
	}
	return b.Log.RedactionKey()
}

// changeScan changes the arguments of scans.
func (b *broken) changeScan(change func(*history.Scan)) {
	b.scan = func(ctx context.Context, sc history.Scan) records {
		change(&sc)
		return b.Log.Scan(ctx, sc)
	}
}

// changeResults changes the results of scans. They read all records first.
func (b *broken) changeResults(change func(history.Scan, []*history.Record) []*history.Record) {
	b.scan = func(ctx context.Context, sc history.Scan) records {
		return func(yield func(*history.Record, error) bool) {
			var list []*history.Record
			for r, err := range b.Log.Scan(ctx, sc) {
				if err != nil {
					yield(nil, err)
					return
				}
				list = append(list, r)
			}
			for _, r := range change(sc, list) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// changeBatch changes batches before they are committed. It changes a copy,
// whose times and revisions are copied back.
func (b *broken) changeBatch(change func(*history.Batch)) {
	b.commit = func(ctx context.Context, batch *history.Batch) error {
		c := history.Batch{Checkpoints: batch.Checkpoints, Gaps: batch.Gaps}
		for _, v := range batch.Versions {
			record := *v.Record
			v.Record = &record
			c.Versions = append(c.Versions, v)
		}
		change(&c)
		err := b.Log.Append(ctx, &c)
		for i, r := range c.Versions {
			batch.Versions[i].Time, batch.Versions[i].Revision = r.Time, r.Revision
		}
		return err
	}
}
