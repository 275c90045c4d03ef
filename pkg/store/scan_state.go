package store

import (
	"context"
	"errors"
	"iter"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

// State returns a page of the versions that objects had at a time, as the log
// is when the iteration begins. The caller owns the records. An error comes
// with a nil record and ends the iteration.
//
// A time before the retention is a [history.NotFound] error. If the oldest day
// is dropped meanwhile, the scan ends with an error and has to be repeated.
//
// Heads have no order, so the first page reads the heads of all objects of its
// resources. Later pages of many objects, and pages of few namespaces, use a
// listing: they read little more than they return. Most heads decide which
// version an object had: only objects that changed since then cost more reads.
// Memory grows with the limit.
func (s *Store) State(ctx context.Context, sc history.StateScan) iter.Seq2[*history.Record, error] {
	return yielded(func(yield func(*history.Record) error) error {
		return s.retryAfterRepair(func() (bool, error) { return false, s.readState(ctx, &sc, yield) })
	})
}

// readState yields a page of a state. It updates sc to the rest of the page
// before each record, so that the scan can continue after a repair.
func (s *Store) readState(ctx context.Context, sc *history.StateScan, yield func(*history.Record) error) error {
	return s.walkObjects(ctx, sc.Filter, sc.At, func(w *objectWalk) error {
		at := stateMoment{before: timestamp(sc.At) + 1}
		at.known = max(at.before, timestamp(sc.Until)+1)
		last := stateMoment{before: at.known}
		if at.known > at.before {
			w.existed = &at
		}
		w.skip = func(h *codec.Head) (bool, error) { return w.absent(h, &at, &last) }
		w.later, w.before = func() (uint64, error) { return w.firstCreated(&last) }, at.before
		left := history.Scan{Filter: sc.Filter, Limit: sc.Limit, Bodies: sc.Bodies}
		hits := func(f func(indexHit) error) error {
			return w.each(sc.After, sc.Limit, func(o *candidate) error {
				h, exists, err := w.versionAt(o, &at)
				if err != nil || !exists {
					return err
				}
				return f(h)
			})
		}
		return w.r.records(ctx, &left, hits, func(rec *history.Record) error {
			sc.After = rec.Ref
			if sc.Limit > 0 {
				sc.Limit--
			}
			return yield(rec)
		})
	})
}

// Compare returns a page of the differences between two states, as the log is
// when the iteration begins. The rules of [Store.State] apply. The objects of a
// resource are found by its changes after From, unless it has fewer objects
// than changes. Then objects that did not change cost only their heads.
func (s *Store) Compare(ctx context.Context, sc history.CompareScan) iter.Seq2[history.Difference, error] {
	return func(yield func(history.Difference, error) bool) {
		err := s.retryAfterRepair(func() (bool, error) {
			return false, s.readDifferences(ctx, &sc, func(d history.Difference) error {
				if !yield(d, nil) {
					return errStop
				}
				return nil
			})
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(history.Difference{}, err)
		}
	}
}

// readDifferences yields a page of differences. It updates sc as readState
// does.
func (s *Store) readDifferences(
	ctx context.Context, sc *history.CompareScan, yield func(history.Difference) error,
) error {
	return s.walkObjects(ctx, sc.Filter, sc.From, func(w *objectWalk) error {
		from, to := stateMoment{before: timestamp(sc.From) + 1}, stateMoment{before: timestamp(sc.To) + 1}
		from.known, to.known = to.before, to.before
		w.later, w.before = func() (uint64, error) { return w.firstCreated(&to) }, from.before
		w.changes = &span{from: from.before, to: to.before - 1}
		w.skip = func(h *codec.Head) (bool, error) {
			if unchanged := h.Last.TS != 0 && h.Last.TS < from.before; unchanged {
				return true, nil
			}
			return w.createdSince(h.Object, &to)
		}
		return w.each(sc.After, sc.Limit, func(o *candidate) error {
			d, err := w.difference(o, &from, &to, sc.Bodies)
			if err != nil || d == nil {
				return err
			}
			sc.After = o.ref
			last := sc.Limit == 1
			if sc.Limit > 0 {
				sc.Limit--
			}
			if err := yield(*d); err != nil || !last {
				return err
			}
			return errStop
		})
	})
}

// difference returns the difference of an object, or nil if there is none.
func (w *objectWalk) difference(o *candidate, from, to *stateMoment, bodies bool) (*history.Difference, error) {
	before, isBefore, err := w.versionAt(o, from)
	if err != nil {
		return nil, err
	}
	after, isAfter := o.changed, o.changed.Verb != byte(history.Delete)
	if o.changed.TS == 0 {
		after, isAfter, err = w.versionAt(o, to)
	}
	if err != nil || isBefore && isAfter && before.TS == after.TS {
		return nil, err
	}
	var d history.Difference
	if isBefore {
		if d.Before, err = w.read(before, bodies); err != nil {
			return nil, err
		}
	}
	if isAfter {
		if d.After, err = w.read(after, bodies); err != nil {
			return nil, err
		}
	}
	if d.Before == nil && d.After == nil {
		return nil, nil
	}
	return &d, nil
}

// read returns the record of a hit, or nil if the filter doesn't select it.
func (w *objectWalk) read(h indexHit, body bool) (*history.Record, error) {
	rec, parts, err := w.r.match(w.filter, h)
	if err == nil && rec != nil && body {
		rec.Object, err = w.r.hitBody(h, parts)
	}
	return rec, err
}
