package store

import (
	"context"
	"errors"
	"iter"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// The effort of counting, in keys looked at: reading a record takes about as long as passing over this many keys, and a
// count gives up after this many times as many as it may count to.
const (
	recordEffort = 16
	countEffort  = 32
)

// errStop ends a walk without an error.
var errStop = errors.New("stop")

// errDropped ends a walk that reads a day while it is dropped.
var errDropped = history.Errorf(history.Unavailable, "the oldest day of history was dropped while it was read: ask again")

// Scan answers a page of records, as the log was when the scan began, in the scan's order, and reads no further than it
// is asked to: nothing beyond the limit and, where it stops before, fewer bodies ahead than it has yielded, which it reads several at a
// time. After an error, which comes with a nil record, it ends. What it yields belongs to the caller. It holds back
// Close, and the space of what is deleted meanwhile, until it ends.
func (s *Store) Scan(ctx context.Context, sc history.Scan) iter.Seq2[*history.Record, error] {
	return yielded(func(yield func(*history.Record) error) error {
		return s.retried(func() (bool, error) { return false, s.scan(ctx, &sc, yield) })
	})
}

// scan yields a page of records. The scan is left as what has not been yielded yet, so that it can go on after an error.
func (s *Store) scan(ctx context.Context, sc *history.Scan, yield func(*history.Record) error) error {
	if last := moment(s.last.Load() + 1); sc.End.IsZero() || sc.End.After(last) {
		sc.End = last // nothing newer, should it go on
	}
	left := *sc
	return s.walk(ctx, left, true, func(r *reader, _ *plan, hits hits) error {
		return r.records(ctx, &left, hits, func(rec *history.Record) error {
			sc.After = history.Cursor{Time: rec.Time}
			if sc.Limit > 0 {
				sc.Limit--
			}
			return yield(rec)
		})
	})
}

// Count counts the records that a filter selects, but not beyond most (at least 1) and not with more effort than that is
// worth. exact says that n is all of them; otherwise there are n at least.
func (s *Store) Count(ctx context.Context, f history.Filter, most int) (n int, exact bool, err error) {
	most = max(most, 1)
	effort := countEffort * most
	err = s.retried(func() (bool, error) {
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

func (s *Store) count(ctx context.Context, f history.Filter, most int, n, effort *int) error {
	return s.walk(ctx, history.Scan{Filter: f}, false, func(r *reader, p *plan, hits hits) error {
		return hits(func(h hit) error {
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

// Latest returns the newest version of an object that is kept, with its body. Without a UID it is the newest of all
// incarnations. That there is none is a [history.NotFound] error.
func (s *Store) Latest(ctx context.Context, ref history.ObjectRef) (*history.Record, error) {
	sc := history.Scan{Order: history.NewestFirst, Limit: 1, Bodies: true}
	sc.Resources = append(sc.Resources, ref.GroupResource())
	sc.Namespace, sc.Name, sc.UID = ref.Scope(), ref.Name, ref.UID
	if ref.Name == "" {
		return nil, history.Errorf(history.Invalid, "no name is given of which %s", ref.GroupResource())
	}
	for rec, err := range s.Scan(ctx, sc) {
		if errors.Is(err, errDropped) {
			return s.Latest(ctx, ref)
		}
		return rec, err
	}
	return nil, history.Errorf(history.NotFound, "no version of %s is recorded", ref)
}

// match returns the record of a hit without its body, and of how many parts that is, if the filter selects it; nil if not. What could
// not be read because its day is being dropped is [errDropped].
func (r *reader) match(f *history.Filter, h hit) (*history.Record, uint16, error) {
	rec, m, err := r.selected(f, h)
	if r.lost(key.Day(h.TS)) {
		return nil, 0, errDropped
	}
	return rec, m.Parts, err
}

func (r *reader) selected(f *history.Filter, h hit) (rec *history.Record, m codec.Meta, err error) {
	meta := h.meta
	if meta == nil {
		if meta, err = r.meta(h.Entry); err != nil {
			return nil, m, err
		}
	}
	rec, m, err = r.record(h.Entry, meta)
	if err != nil || !f.Matches(rec) {
		return nil, m, err
	}
	return rec, m, nil
}

// hits calls f for the hits of a walk, in its order, until f returns an error, which it returns then.
type hits func(f func(hit) error) error

// walk calls use with what a scan has to look at, with the metadata where that is near, if whatever is found needs it.
func (s *Store) walk(ctx context.Context, sc history.Scan, metas bool, use func(*reader, *plan, hits) error) error {
	return s.viewOnce(func(r *reader) error {
		sp, ok := s.span(sc)
		if !ok {
			return ctx.Err()
		}
		if err := r.enter(); err != nil {
			return err
		}
		p, err := r.plan(&sc.Filter)
		if err != nil {
			return err
		}
		p.metas = metas || !p.byKey
		return use(r, p, func(f func(hit) error) error { return r.through(p, sp, r.allowed(ctx, p, f)) })
	})
}

// allowed calls f for the hits that a plan's keys allow, until the context or the log ends.
func (r *reader) allowed(ctx context.Context, p *plan, f func(hit) error) func(hit) (bool, error) {
	return func(h hit) (bool, error) {
		if err := r.s.goesOn(ctx); err != nil {
			return false, err
		}
		if !p.allows(h.Entry) {
			return true, nil
		}
		return true, f(h)
	}
}

// days calls f for the hits of a span, day by day in the span's order. It skips
// the days before the oldest version: without a lower bound, a span begins in
// 1970.
func (r *reader) days(p *plan, sp span, f func(hit) (bool, error)) error {
	if len(p.ranges) == 0 || sp.from > sp.to {
		return nil
	}
	first, last := int(key.Day(sp.from)), int(key.Day(sp.to))
	if oldest := r.s.oldest.Load(); oldest != noDay && first < int(oldest) {
		if r.lost(uint16(first)) { // the days were dropped after this transaction began
			return errDropped
		}
		first = int(oldest)
	}
	day, step := first, 1
	if sp.reverse {
		day, step = last, -1
	}
	for ; first <= day && day <= last; day += step {
		if more, err := r.day(p, uint16(day), sp, f); !more || err != nil {
			return err
		}
		if r.lost(uint16(day)) {
			return errDropped
		}
	}
	return nil
}

// span returns the interval that a scan asks for: behind its cursor, and of what readers may see. It is false where that is
// empty.
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
