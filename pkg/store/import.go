package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// importedFile is the file that marks the directory of an imported log. The log
// is used only by the process that imported it.
const importedFile = "IMPORTED"

// errImported rejects batches for an imported log.
var errImported = history.Errorf(history.Invalid, "this history was imported from an export and is read-only")

// Import creates a log from an excerpt and opens it. The directory must be
// empty or not exist. Records keep their times and revisions, and nothing
// expires.
//
// The log returns what the original one would return about the excerpt's
// extent. It begins with the excerpt's baselines. It has no checkpoints,
// rejects batches, and drops nothing. After it is closed it can't be opened
// again, and the caller removes the directory. The caller also removes it after
// an error.
//
// An excerpt that violates the contract of [history.Excerpt] is a
// [history.Invalid] error.
func Import(ctx context.Context, dir string, from *history.Excerpt, opts Options) (*Store, error) {
	if from.Start.Unix() < 0 || !from.Start.Before(from.End) || timestamp(from.End) > key.MaxTS {
		return nil, history.Errorf(history.Invalid, "an excerpt can't begin at %s and end at %s", from.Start, from.End)
	}
	opts = withDefaults(opts)
	opts.NoSync = true // the log doesn't outlive the process
	// The retention is exactly the excerpt's range.
	opts.Now = func() time.Time { return from.End }
	opts.Retention = from.End.Sub(from.Start)
	lock, err := badgerdir.Claim(dir)
	if err != nil {
		return nil, err
	}
	s, err := newImported(dir, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	s.lock = lock
	if err := s.importAll(ctx, from); err != nil {
		return nil, errors.Join(fmt.Errorf("import: %w", err), s.Close())
	}
	return s, nil
}

// newImported opens a new log in a directory, which it marks.
func newImported(dir string, opts Options) (*Store, error) {
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	if err := mark(dir, importedFile); err != nil {
		return nil, badgerdir.Unwritable(dir, err)
	}
	s, err := openLog(dir, nil, opts)
	if err != nil {
		return nil, err
	}
	s.noTTL = true
	s.begin()
	return s, nil
}

// checkNotImported rejects the directory of an imported log.
func checkNotImported(dir string) error {
	if !marked(dir, importedFile) {
		return nil
	}
	return history.Errorf(history.Invalid,
		"storage directory %s holds an imported export, which can't be opened again", dir)
}

// importAll writes an excerpt into a new log.
func (s *Store) importAll(ctx context.Context, from *history.Excerpt) error {
	for _, r := range from.Catalogue {
		if err := s.Register(ctx, r); err != nil {
			return err
		}
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	w := &importer{
		batchTx: s.newBatchTx(), ctx: ctx, start: timestamp(from.Start), end: timestamp(from.End),
		latest: map[history.ObjectRef][]byte{},
	}
	defer func() { w.txn.Discard() }()
	if err := w.all(from); err != nil {
		return err
	}
	s.failed = errImported // makes the log read-only
	return nil
}

// importer writes an excerpt in the transactions of a batchTx. Unlike a commit,
// it keeps the times and revisions of records. The caller holds commitMu.
type importer struct {
	*batchTx

	ctx        context.Context //nolint:containedctx // for one call
	start, end uint64
	latest     map[history.ObjectRef][]byte // the newest bodies of some objects, as bases of deltas
	latestSize int                          // of latest, in bytes
}

// maxLatest bounds the bodies that an importer keeps, in bytes.
const maxLatest = 12 << 20

// all writes the excerpt. Gaps come first, since they may end before the
// records do.
func (w *importer) all(from *history.Excerpt) error {
	var floor group
	floor.set(key.RetentionFloor(), encodeFloor(uint32(key.Day(w.start))), 0)
	if err := w.add(floor); err != nil {
		return err
	}
	for i := range from.Gaps {
		if err := errors.Join(checkGap(from.Gaps[i]), w.addGap(&from.Gaps[i])); err != nil {
			return fmt.Errorf("gap: %w", err)
		}
	}
	for _, list := range []struct {
		from func(func(*history.Record, error) bool)
		put  func(*history.Record, uint64) error
	}{{from.Baselines, w.addBaseline}, {from.Records, w.append}} {
		for r, err := range list.from {
			if err == nil {
				err = errors.Join(w.ctx.Err(), checkImported(r))
			}
			if err == nil {
				err = list.put(r, timestamp(r.Time))
			}
			if err != nil {
				return err
			}
		}
	}
	return w.commit()
}

// checkImported checks a record of an excerpt. In addition to
// [checkNewVersion], it requires a revision and a time.
func checkImported(r *history.Record) error {
	if r.Revision == 0 || r.Time.Unix() < 0 {
		return history.Errorf(history.Invalid, "record of %s has no revision or no time", r.Ref)
	}
	return checkNewVersion(history.NewVersion{Record: r})
}

// append adds a record of the extent. Records must come in the order of their
// times. A body can become a delta to the one of the object's previous record.
func (w *importer) append(r *history.Record, ts uint64) error {
	if ts < w.start || ts >= w.end || ts <= w.state.Last {
		return history.Errorf(history.Invalid, "record of %s at %s is out of order", r.Ref, r.Time)
	}
	w.state.Last = ts
	v := history.NewVersion{Record: r, Before: w.latest[r.Ref]}
	err := w.addVersion(v, w.s.encode(v), ts, r.Revision)
	w.keepBody(r)
	return err
}

// keepBody keeps a version's body, without a copy, for the next version's
// delta. If the bodies exceed maxLatest, it drops all others.
func (w *importer) keepBody(r *history.Record) {
	if w.latestSize += len(r.Object) - len(w.latest[r.Ref]); w.latestSize > maxLatest {
		clear(w.latest)
		w.latestSize = len(r.Object)
	}
	w.latest[r.Ref] = r.Object
}

// addBaseline adds the baseline of an object. One from the first day is written
// like other records, because the retention floor is not above it. Baselines
// are never deltas, since they come in any order.
func (w *importer) addBaseline(r *history.Record, ts uint64) error {
	if ts >= w.start || r.Verb == history.Delete {
		return history.Errorf(history.Invalid, "record of %s at %s is not a baseline of the range", r.Ref, r.Time)
	}
	w.state.Last = max(w.state.Last, ts) // so that readers see the time
	var b body
	if len(r.Object) > 0 {
		b.sum = codec.Sum(r.Object)
		b.first = w.s.bodies.Snapshot(r.Object, b.sum)
	}
	if key.Day(ts) == key.Day(w.start) {
		return w.addVersion(history.NewVersion{Record: r}, b, ts, r.Revision)
	}
	return w.addOlderBaseline(r, b, ts)
}

// addOlderBaseline adds a baseline from before the retention floor.
func (w *importer) addOlderBaseline(r *history.Record, b body, ts uint64) error {
	var g group
	o, err := w.findObject(&g, r)
	if err != nil {
		return err
	}
	if o.head.Revision != 0 {
		return history.Errorf(history.Invalid, "the range has two baselines of %s", r.Ref)
	}
	kind, err := w.numberOf(&g, term{key.Kinds, codec.Pair(r.Version, r.Kind)})
	if err != nil {
		return err
	}
	m := codec.Meta{Kind: uint16(kind)}
	if b.first != nil {
		for part := range slices.Chunk(b.first.Encode(), maxPart) {
			var p group
			p.set(key.BaselineBody(o.head.Object, ts, m.Parts), part, 0)
			if err := w.add(p); err != nil {
				return err
			}
			m.Parts++
		}
	}
	g.set(key.Baseline(o.head.Object, ts), codec.AppendMeta(nil, ts, r, m, nil), 0)
	for k := range baselineKeys(r, o.head.Object, ts) {
		g.set(k, nil, 0)
	}
	if err := w.addHead(&g, &o, r, nil, ts); err != nil {
		return err
	}
	return w.add(g)
}

// RemoveUnused removes the directory of a log that ends with its process,
// unless a process has the log open. It reports whether the directory is
// removed. The caller must know that no process is about to open it.
func RemoveUnused(dir string) (removed bool, err error) {
	removed, err = badgerdir.RemoveUnused(dir)
	if err != nil {
		err = fmt.Errorf("remove %s: %w", dir, err)
	}
	return removed, err
}
