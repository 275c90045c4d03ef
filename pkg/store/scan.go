package store

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// The effort of a count is measured in keys. Reading a record costs as much as
// recordEffort keys. A count that may count to n ends after countEffort * n.
const (
	recordEffort = 16
	countEffort  = 32
)

// errStop ends a walk without an error.
var errStop = errors.New("stop")

// errDropped ends a walk that reads a day while it is dropped.
var errDropped = history.Errorf(history.Unavailable,
	"the oldest day of history was dropped while it was read: ask again")

// Scan returns a page of records in the scan's order, as the log is when the
// iteration begins. The caller owns the records. An error comes with a nil
// record and ends the iteration.
//
// Scan reads nothing beyond the limit. If the caller stops earlier, it has
// prefetched fewer bodies than it yielded.
//
// A running scan blocks Close, and keeps the space of entries that are deleted
// meanwhile.
func (s *Store) Scan(ctx context.Context, sc history.Scan) iter.Seq2[*history.Record, error] {
	return yielded(func(yield func(*history.Record) error) error {
		return s.retryAfterRepair(func() (bool, error) { return false, s.scan(ctx, &sc, yield) })
	})
}

// yielded returns an iterator over the records that walk yields. The walk ends
// when the iteration does.
func yielded(walk func(yield func(*history.Record) error) error) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		err := walk(func(rec *history.Record) error {
			if !yield(rec, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(nil, err)
		}
	}
}

// scan yields a page of records. It updates sc to the rest of the page before
// each record, so that the scan can continue after a repair.
func (s *Store) scan(ctx context.Context, sc *history.Scan, yield func(*history.Record) error) error {
	if last := moment(s.last.Load() + 1); sc.End.IsZero() || sc.End.After(last) {
		sc.End = last // a continued scan must not yield newer records
	}
	left := *sc
	return s.walk(ctx, left, true, func(r *reader, _ *plan, hits hitSeq) error {
		return r.records(ctx, &left, hits, func(rec *history.Record) error {
			sc.After = history.Cursor{Time: rec.Time}
			if sc.Limit > 0 {
				sc.Limit--
			}
			return yield(rec)
		})
	})
}

// Count counts the records that a filter selects, up to most, which is at least
// 1. It stops earlier if counting costs too much. exact reports whether n is
// the number of all records; otherwise there are at least n. If a day is
// dropped meanwhile, it begins again.
func (s *Store) Count(ctx context.Context, f history.Filter, most int) (n int, exact bool, err error) {
	most = max(most, 1)
	effort := countEffort * most
	err = s.retryAfterRepair(func() (bool, error) {
		n, effort = 0, countEffort*most
		return false, s.count(ctx, f, most, &n, &effort)
	})
	switch {
	case errors.Is(err, errStop):
		return n, false, nil
	case errors.Is(err, errDropped):
		return s.Count(ctx, f, most)
	default:
		return n, err == nil, err
	}
}

// count counts records until n is most or the effort is used up. It reads
// records only if the keys don't decide the filter.
func (s *Store) count(ctx context.Context, f history.Filter, most int, n, effort *int) error {
	return s.walk(ctx, history.Scan{Filter: f}, false, func(r *reader, p *plan, hits hitSeq) error {
		p.unordered = true
		return hits(func(h indexHit) error {
			if *n == most || *effort <= 0 {
				return errStop
			}
			*effort--
			if !p.byKey {
				*effort -= recordEffort - 1
				if rec, _, err := r.match(&f, h); err != nil || rec == nil {
					return err
				}
			}
			*n++
			return nil
		})
	})
}

// Objects returns the first record of each object that a scan selects, in the
// scan's order and without bodies: at most the scan's limit, if it has one. It
// looks at no more than "most" versions of these objects. complete reports
// whether that was enough for all of them. If a day is dropped meanwhile, it
// begins again. The caller owns the records.
//
// Records of an object after its first one are not read: the keys of their
// versions are enough.
func (s *Store) Objects(
	ctx context.Context, sc history.Scan, most int,
) (first []*history.Record, complete bool, err error) {
	err = s.retryAfterRepair(func() (bool, error) {
		first = nil
		return false, s.objects(ctx, sc, most, &first)
	})
	switch {
	case errors.Is(err, errStop):
		return first, false, nil
	case errors.Is(err, errDropped):
		return s.Objects(ctx, sc, most)
	default:
		return first, err == nil, err
	}
}

// objects appends the first record of each object to first. It returns
// [errStop] if there may be others.
func (s *Store) objects(ctx context.Context, sc history.Scan, most int, first *[]*history.Record) error {
	return s.walk(ctx, sc, true, func(r *reader, _ *plan, hits hitSeq) error {
		seen := map[uint64]bool{}
		return hits(func(h indexHit) error {
			var rec *history.Record
			if !seen[h.Object] {
				var err error
				if rec, _, err = r.match(&sc.Filter, h); err != nil || rec == nil {
					return err // hidden versions must not change the result
				}
			}
			if most--; most < 0 {
				return errStop
			}
			if rec == nil {
				return nil
			}
			if sc.Limit > 0 && len(*first) == sc.Limit {
				return errStop
			}
			seen[h.Object] = true
			*first = append(*first, rec)
			return nil
		})
	})
}

// Latest returns the newest version of an object, with its body. Without a UID
// it is the newest version of all incarnations. If the log has no version, the
// error is [history.NotFound]. If a day is dropped meanwhile, it begins again.
// The caller owns the record.
func (s *Store) Latest(ctx context.Context, ref history.ObjectRef) (*history.Record, error) {
	sc := history.Scan{Order: history.NewestFirst, Limit: 1, Bodies: true}
	sc.Resources = append(sc.Resources, ref.GroupResource())
	sc.Namespace, sc.Name, sc.UID = ref.Scope(), ref.Name, ref.UID
	if ref.Name == "" {
		return nil, history.Errorf(history.Invalid, "newest version of %s: the name is missing", ref.GroupResource())
	}
	for rec, err := range s.Scan(ctx, sc) {
		if errors.Is(err, errDropped) {
			return s.Latest(ctx, ref)
		}
		return rec, err
	}
	return nil, history.Errorf(history.NotFound, "no version of %s is recorded", ref)
}

// match returns the record of a hit without its body, and the number of the
// body's parts. It returns nil if the filter doesn't select the record, and
// [errDropped] if its day is being dropped.
func (r *reader) match(f *history.Filter, h indexHit) (*history.Record, uint16, error) {
	rec, m, err := r.selected(f, h)
	if r.droppedMeanwhile(key.Day(h.TS)) {
		return nil, 0, errDropped
	}
	return rec, m.Parts, err
}

// selected is match without the check for dropped days.
func (r *reader) selected(f *history.Filter, h indexHit) (rec *history.Record, m codec.Meta, err error) {
	meta := h.meta
	if meta == nil {
		if meta, err = r.meta(h.Entry); err != nil {
			return nil, m, err
		}
	}
	if len(f.Classes) > 0 && !slices.Contains(f.Classes, codec.ClassOf(meta)) {
		return nil, m, nil // without decoding it
	}
	rec, m, err = r.record(h.Entry, meta)
	if err != nil || !f.Matches(rec) {
		return nil, m, err
	}
	return rec, m, nil
}

// hitSeq calls f for the hits of a walk, in its order, until f returns an
// error. It returns that error.
type hitSeq func(f func(indexHit) error) error

// walk calls use with the plan and the hits of a scan. metas means that use
// needs the hits' metadata even if their keys decide the filter. If the scan
// can't find anything, use is not called.
func (s *Store) walk(ctx context.Context, sc history.Scan, metas bool, use func(*reader, *plan, hitSeq) error) error {
	return s.viewOnce(func(r *reader) error {
		sp, ok := s.span(sc)
		if !ok {
			return ctx.Err()
		}
		if err := r.loadFloor(); err != nil {
			return err
		}
		p, err := r.plan(&sc.Filter)
		if err != nil {
			return err
		}
		p.metas, p.hits = metas || !p.byKey, sc.Limit
		return use(r, p, func(f func(indexHit) error) error { return r.walkSpan(p, sp, r.allowed(ctx, p, f)) })
	})
}

// walkSpan calls f for a plan's hits in a span, in the span's order, until f
// returns an error. It walks the days that are kept. Before their beginning it
// walks the baselines of the plan's objects.
func (r *reader) walkSpan(p *plan, sp span, f func(indexHit) (bool, error)) error {
	bound := r.lowerBound()
	kept := sp
	kept.from = max(kept.from, bound)
	if sp.reverse {
		if err := r.days(p, kept, f); err != nil {
			return err
		}
		return r.walkBaselines(p, sp, bound, f)
	}
	if err := r.walkBaselines(p, sp, bound, f); err != nil {
		return err
	}
	return r.days(p, kept, f)
}

// allowed returns a function that calls f for the hits that the plan allows. It
// returns an error once the context ends or the log is closed.
func (r *reader) allowed(ctx context.Context, p *plan, f func(indexHit) error) func(indexHit) (bool, error) {
	return func(h indexHit) (bool, error) {
		if err := r.s.checkOpen(ctx); err != nil {
			return false, err
		}
		if !p.allows(h.Entry) {
			return true, nil
		}
		if p.index.decides.has(fieldView) {
			if granted, err := r.grants(p, h.Entry); err != nil || !granted {
				return err == nil, err
			}
		}
		return true, f(h)
	}
}

// days calls f for the hits of a span, day by day in the span's order.
func (r *reader) days(p *plan, sp span, f func(indexHit) (bool, error)) error {
	if len(p.ranges) == 0 {
		return nil
	}
	return r.spanDays(sp, func(day uint16) (bool, error) { return r.day(p, day, sp, f) })
}

// spanDays calls f for the days of a span, in its order, until f returns false.
// It skips the days before the oldest version: without a lower bound, a span
// begins in 1970.
func (r *reader) spanDays(sp span, f func(day uint16) (bool, error)) error {
	if sp.from > sp.to {
		return nil
	}
	first, last := int(key.Day(sp.from)), int(key.Day(sp.to))
	if oldest := r.s.oldest.Load(); oldest != noDay && first < int(oldest) {
		// The skipped days may include one that was just dropped.
		if r.droppedMeanwhile(uint16(first)) {
			return errDropped
		}
		first = int(oldest)
	}
	day, step := first, 1
	if sp.reverse {
		day, step = last, -1
	}
	for ; first <= day && day <= last; day += step {
		if more, err := f(uint16(day)); !more || err != nil {
			return err
		}
		if r.droppedMeanwhile(uint16(day)) {
			return errDropped
		}
	}
	return nil
}

// span returns the interval of a scan: after its cursor, and not after the
// newest visible record. It returns false if the interval is empty.
func (s *Store) span(sc history.Scan) (span, bool) {
	sp := span{from: timestamp(sc.Start), to: s.last.Load(), reverse: sc.Order == history.NewestFirst}
	if !sc.End.IsZero() {
		end := timestamp(sc.End)
		if end == 0 {
			return sp, false
		}
		sp.to = min(sp.to, end-1)
	}
	if !sc.After.IsZero() {
		after := timestamp(sc.After.Time)
		switch {
		case !sp.reverse:
			sp.from = max(sp.from, after+1)
		case after == 0:
			return sp, false
		default:
			sp.to = min(sp.to, after-1)
		}
	}
	return sp, sp.from <= sp.to
}
