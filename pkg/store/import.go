package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// imported is the file that marks a directory whose log was imported. Only who imported it uses it.
const imported = "IMPORTED"

// errImported is what a log answers that was imported and is to be written to.
var errImported = history.Errorf(history.Invalid, "this history was read from an export, and takes nothing more")

// Import makes a log of an excerpt in a directory, which must be empty or not there, and opens it. Records keep their times and
// revisions, and nothing expires. The log answers what the excerpt's would have answered about its extent: it begins where that
// does, at the versions that stood then. It has no checkpoints, takes no batch, and drops nothing. Once it is closed, nobody opens
// it again: it is a copy, and the directory is the caller's to remove, as it is after an error.
//
// An excerpt that is not as [history.Excerpt] says is a [history.Invalid] error.
func Import(ctx context.Context, dir string, from *history.Excerpt, opts Options) (*Store, error) {
	if from.Start.Unix() < 0 || !from.Start.Before(from.End) || timestamp(from.End) > key.MaxTS {
		return nil, history.Errorf(history.Invalid, "an excerpt from %s to %s is none", from.Start, from.End)
	}
	opts = withDefaults(opts)
	opts.NoSync = true
	opts.Now = func() time.Time { return from.End }
	opts.Retention = from.End.Sub(from.Start)
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	s, err := newImported(dir, opts)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	s.lock = lock
	if err := s.importAll(ctx, from); err != nil {
		return nil, errors.Join(fmt.Errorf("import: %w", err), s.Close())
	}
	return s, nil
}

func newImported(dir string, opts Options) (*Store, error) {
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	if err := mark(dir, imported); err != nil {
		return nil, unwritable(dir, err)
	}
	s, err := openLog(dir, nil, opts)
	if err != nil {
		return nil, err
	}
	s.endless = true
	return s, nil
}

// checkNotImported refuses a directory that was made of an export.
func checkNotImported(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, imported)); err != nil {
		return nil //nolint:nilerr // there is no such file, or what keeps it from being read shows where the database is opened
	}
	return history.Errorf(history.Invalid,
		"storage directory %s holds what was read from an export, and can't be gone on with: set storagePath (BADGER_PATH) to another directory", dir)
}

func (s *Store) importAll(ctx context.Context, from *history.Excerpt) error {
	for _, r := range from.Catalogue {
		if err := s.Register(ctx, r); err != nil {
			return err
		}
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	w := &importer{writer: s.newWriter(), ctx: ctx, start: timestamp(from.Start), end: timestamp(from.End), latest: map[history.ObjectRef][]byte{}}
	defer func() { w.txn.Discard() }()
	if err := w.all(from); err != nil {
		return err
	}
	s.failed = errImported
	return nil
}

// importer is a writer that takes times as they are.
type importer struct {
	*writer

	ctx        context.Context //nolint:containedctx // of one call
	start, end uint64
	latest     map[history.ObjectRef][]byte // of some objects, what the next version may be a delta against
	size       int                          // of latest, in bytes
}

// maxLatest bounds the bodies that an importer keeps, in bytes.
const maxLatest = 12 << 20

// all writes gaps first: they may end before the records do.
func (w *importer) all(from *history.Excerpt) error {
	var floor group
	floor.set(key.Floor(), encodeFloor(uint32(key.Day(w.start))), 0)
	if err := w.add(floor); err != nil {
		return err
	}
	for i := range from.Gaps {
		if err := errors.Join(checkGap(from.Gaps[i]), w.gap(&from.Gaps[i])); err != nil {
			return fmt.Errorf("gap: %w", err)
		}
	}
	for _, list := range []struct {
		from func(func(*history.Record, error) bool)
		put  func(*history.Record, uint64) error
	}{{from.Baselines, w.stand}, {from.Records, w.append}} {
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

func checkImported(r *history.Record) error {
	if r.Revision == 0 || r.Time.Unix() < 0 {
		return history.Errorf(history.Invalid, "record of %s has no revision, or no time", r.Ref)
	}
	return checkRecord(r)
}

// append adds a record of the extent.
func (w *importer) append(r *history.Record, ts uint64) error {
	if ts < w.start || ts >= w.end || ts <= w.state.Last {
		return history.Errorf(history.Invalid, "record of %s at %s is not in its order", r.Ref, r.Time)
	}
	w.state.Last = ts
	r.Before = w.latest[r.Ref]
	err := w.at(r, w.s.encode(r), ts, r.Revision)
	r.Before = nil
	w.keep(r)
	return err
}

// keep remembers a version's body, in place of all others where there is no room.
func (w *importer) keep(r *history.Record) {
	if w.size += len(r.Object) - len(w.latest[r.Ref]); w.size > maxLatest {
		clear(w.latest)
		w.size = len(r.Object)
	}
	w.latest[r.Ref] = r.Object
}

// stand adds the version of an object that stood when the extent begins. One of the same day is kept as records are, since the floor
// is not above it. None is a delta, because they come in any order.
func (w *importer) stand(r *history.Record, ts uint64) error {
	if ts >= w.start || r.Verb == history.Delete {
		return history.Errorf(history.Invalid, "record of %s at %s does not stand when the range begins", r.Ref, r.Time)
	}
	w.state.Last = max(w.state.Last, ts)
	var b body
	if len(r.Object) > 0 {
		b.sum = codec.Sum(r.Object)
		b.first = w.s.bodies.Snapshot(r.Object, b.sum)
	}
	if key.Day(ts) == key.Day(w.start) {
		return w.at(r, b, ts, r.Revision)
	}
	return w.carried(r, b, ts)
}

// carried adds a version that stands since before the floor.
func (w *importer) carried(r *history.Record, b body, ts uint64) error {
	var g group
	o, err := w.object(&g, r)
	if err != nil {
		return err
	}
	if o.head.Revision != 0 {
		return history.Errorf(history.Invalid, "two versions of %s stand when the range begins", r.Ref)
	}
	kind, err := w.number(&g, term{key.Kinds, codec.Pair(r.Version, r.Kind)})
	if err != nil {
		return err
	}
	m := codec.Meta{Kind: uint16(kind)}
	if b.first != nil {
		for part := range slices.Chunk(b.first.Encode(), maxPart) {
			var p group
			p.set(key.StandingBody(o.head.Object, ts, m.Parts), part, 0)
			if err := w.add(p); err != nil {
				return err
			}
			m.Parts++
		}
	}
	g.set(key.Standing(o.head.Object, ts), codec.AppendMeta(nil, ts, r, m, nil), 0)
	g.ownStanding(r, o.head.Object, ts)
	if err := w.head(&g, &o, r, ts); err != nil {
		return err
	}
	return w.add(g)
}
