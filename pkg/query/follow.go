package query

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Feed reports how far a log is committed and kept. It must be safe for
// concurrent use.
type Feed interface {
	// Committed returns a position up to which every scan that begins
	// afterwards is complete, and after which all later records are. The
	// channel is closed by the next commit of anything.
	Committed() (upTo history.Cursor, next <-chan struct{})
	// Active returns the namespaces of the records that were committed after a
	// position, at least up to the one that Committed returned before.
	Active(after history.Cursor) history.Activity
	// Kept returns after if the log still has every record that was committed
	// after that position. Otherwise it returns the position from which on the
	// log is complete.
	Kept(ctx context.Context, after history.Cursor) (from history.Cursor, err error)
}

// followEffort bounds a batch with a selector, in the unit of [Options.Effort].
// A batch is read while a stream has a slot, so it is short.
const followEffort = 2_000

// headStart is how far after the beginning of the retention a stream of older
// records begins. The retention moves on, and must not overtake it at once.
const headStart = time.Minute

// ErrFull ends a batch before a version, if the Each of a question returns it.
var ErrFull = errors.New("batch is full")

// errNoFeed is the error of following a log without a [Feed].
var errNoFeed = history.Errorf(history.Unavailable, "this history can't be followed: nothing is recorded into it")

// Batch is a part of a stream that was read at once.
type Batch struct {
	// Next is the position up to which the stream is complete. The next batch
	// begins after it.
	Next history.Cursor
	// More reports whether records may follow that are committed already.
	More bool
	// Changed is closed by the first commit that the batch may not contain.
	Changed <-chan struct{}
	// Gaps touch the time from the position of the question on. They contain
	// every change of a gap that was committed before Next.
	Gaps []history.Gap
	// Ignored and Coverage are those of a [Page].
	Ignored  []history.IgnoreRule
	Coverage Coverage

	view   history.View
	reader Reader
}

// Gap returns the gap of a resource that began at a time, also if it ended
// before the batch, and reports whether it exists. The caller must see the
// resource.
func (b *Batch) Gap(ctx context.Context, r schema.GroupResource, start time.Time) (history.Gap, bool, error) {
	var of []schema.GroupResource
	gaps, err := b.reader.Gaps(ctx, append(of, r), start, start.Add(1))
	for _, g := range gaps {
		if g.GroupResource() == r && g.Start.Equal(start) {
			return g, true, err
		}
	}
	return history.Gap{}, false, err
}

// Sees reports whether the caller can see any object of the resource now.
func (b *Batch) Sees(r schema.GroupResource) bool { return b.view.Touches(r) }

// FollowFrom returns the position at which a stream begins: that of the newest
// record or, if start is not zero, the one before the first record from then
// on. If such records were dropped, the position is a minute after the
// beginning of those that are kept.
func (s *Service) FollowFrom(ctx context.Context, start time.Time) (history.Cursor, error) {
	if s.options.Feed == nil {
		return history.Cursor{}, errNoFeed
	}
	upTo, _ := s.options.Feed.Committed()
	if start.IsZero() {
		return upTo, nil
	}
	before := history.Cursor{Time: start.Add(-1)}
	if before.After(upTo.Time) {
		return upTo, nil
	}
	from, err := s.options.Feed.Kept(ctx, before)
	if !from.Equal(before.Time) {
		from.Time = from.Add(headStart)
	}
	if from.After(upTo.Time) {
		from = upTo
	}
	return from, err
}

// Follow reads the next batch of a stream: the records after q.After, oldest
// first, at most q.Limit, and not those that are later than q.After by window
// or more. q.Each receives them, and must be set. The stream is complete up to
// the batch's Next, whatever was committed meanwhile.
//
// A position that the log can't continue is a [history.Gone] error: later
// records were dropped, or the log ends before it.
//
// The invariant: Next is not after a record that is not committed yet. So it is
// bounded by what was committed before the read began. And the gaps are read
// after that, so a client that knows Next also knows each change of a gap that
// was committed before.
//
// rights keeps what the caller may read, for the next batch of the same
// question. If it is nil, all of it is decided for this batch.
func (s *Service) Follow(ctx context.Context, q Timeline, window time.Duration, rights *Rights) (Batch, error) {
	if s.options.Feed == nil {
		return Batch{}, errNoFeed
	}
	upTo, changed := s.options.Feed.Committed()
	if q.After.After(upTo.Time) {
		return Batch{}, history.Errorf(history.Gone,
			"the history ends before this cursor: it was restored from a backup, or the cursor is another recorder's")
	}
	batch := Batch{Next: upTo, Changed: changed, reader: s.reader}
	if end := q.After.Add(window); end.Before(upTo.Time) {
		batch.Next, batch.More = history.Cursor{Time: end}, true
	}
	if rights == nil {
		rights = &Rights{}
	}
	if err := s.readBatch(ctx, q, rights, upTo, &batch); err != nil {
		return Batch{}, err
	}
	// This is the last step: a record that is dropped later was read.
	from, err := s.options.Feed.Kept(ctx, q.After)
	if err == nil && !from.Equal(q.After.Time) {
		err = history.Errorf(history.Gone,
			"records after this cursor were dropped: history begins at %s", from.Add(1).UTC().Format(time.RFC3339Nano))
	}
	return batch, err
}

// readBatch reads the records of a batch up to its Next, and what surrounds
// them. If it reads only a part of the records, it sets Next and More. The
// caller's rights include namespaces that have records up to a position.
func (s *Service) readBatch(
	ctx context.Context, q Timeline, rights *Rights, upTo history.Cursor, batch *Batch,
) error {
	q.narrow()
	asked := q.scopes()
	all, err := s.everything(ctx)
	if err != nil {
		return err
	}
	seen, err := s.seeAgain(ctx, all, q.Name, asked, rights, upTo)
	if err != nil {
		return err
	}
	batch.view, batch.Ignored, batch.Coverage = seen.view, seen.ignored(asked...), seen.coverage(q.Start, asked...)
	filter, known := withResources(q.Filter, seen.catalogue, q.Types, q.Group)
	if !known {
		return nil
	}
	filter.View, filter.End = inNamespaces(seen, q.Namespaces), batch.Next.Add(1)
	scan := history.Scan{Filter: filter, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	if err := s.scanBatch(ctx, scan, &q, batch); err != nil {
		return err
	}
	batch.Gaps, err = s.reader.Gaps(ctx, filter.Resources, q.After.Time, time.Time{})
	batch.Gaps = seen.restrict(batch.Gaps)
	return err
}

// scanBatch passes the records of a scan to the question's Each.
func (s *Service) scanBatch(ctx context.Context, scan history.Scan, q *Timeline, batch *Batch) error {
	last := q.After
	each := func(v *Version) error {
		err := q.Each(v)
		if err == nil {
			last.Time = v.Time
		}
		return err
	}
	var page Page
	var err error
	if q.Selector.IsZero() {
		page, err = s.scan(ctx, scan, nil, history.Cursor{}, each)
	} else {
		page, err = s.newSearch(ctx, scan, q.Selector, followEffort).page(ctx, each)
	}
	switch {
	case errors.Is(err, ErrFull):
		batch.Next, batch.More, err = last, true, nil
	case err == nil && page.More:
		batch.Next, batch.More = page.Next, true
	}
	return err
}
