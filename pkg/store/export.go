package store

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Excerpt calls use with what the log holds of an extent, as it is at one moment while appends go on. The excerpt is valid until use
// returns, and needs no more memory than a scan.
//
// Its extent is narrower than the one asked for where that reaches back behind what is kept, or beyond now: what is committed later
// is dated later, unless the clock jumps back. An extent of which nothing is left is a [history.Invalid] error. What is dropped
// meanwhile ends it with an error, as Close does.
func (s *Store) Excerpt(ctx context.Context, of history.Extent, use func(*history.Excerpt) error) error {
	release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	return s.guard(func() error {
		now := s.now()
		txn, to := s.snapshot()
		defer txn.Discard()
		if newest := moment(to.Time); !now.After(newest) {
			now = newest.Add(1)
		}
		x := &excerpt{ctx: ctx, r: s.newReader(txn)}
		if err := x.r.enter(); err != nil {
			return err
		}
		e, err := x.cut(of, now)
		if err != nil {
			return err
		}
		return use(e)
	})
}

// excerpt is one that is being read.
type excerpt struct {
	ctx context.Context //nolint:containedctx // of one call
	r   *reader
}

// cut narrows an extent to what the log knows of, and returns what there is.
func (x *excerpt) cut(of history.Extent, now time.Time) (*history.Excerpt, error) {
	oldest := moment(x.bottom())
	asked := of
	if of.Start.Before(oldest) {
		of.Start = oldest
	}
	if of.End.IsZero() || of.End.After(now) {
		of.End = now.UTC()
	}
	switch {
	case !asked.End.IsZero() && !asked.Start.Before(asked.End):
		return nil, history.Errorf(history.Invalid, "the range ends, at %s, before it begins", asked.End.UTC().Format(time.RFC3339))
	case !asked.Start.Before(now):
		return nil, history.Errorf(history.Invalid, "the range begins, at %s, in the future", asked.Start.UTC().Format(time.RFC3339))
	case !of.Start.Before(of.End):
		return nil, history.Errorf(history.Invalid, "nothing of the range is kept: history begins at %s", oldest.Format(time.RFC3339))
	}
	e := &history.Excerpt{Extent: of, Baselines: x.standing(of), Records: x.records(of)}
	var err error
	if e.Catalogue, err = x.r.catalogue(x.ctx); err != nil {
		return nil, err
	}
	e.Catalogue = slices.DeleteFunc(e.Catalogue, func(r history.Resource) bool {
		return len(of.Resources) > 0 && !slices.Contains(of.Resources, r.GroupResource())
	})
	for i := range e.Catalogue {
		if r := &e.Catalogue[i]; !r.Since.IsZero() && r.Since.Before(of.Start) {
			r.Since, r.Trimmed = of.Start, true
		}
	}
	e.Gaps, err = x.r.gaps(x.ctx, of.Resources, of.Start, of.End)
	return e, err
}

// bottom returns the time from which on the log knows what happened: where neither retention nor a drop bounds that, from the day of
// the first version on.
func (x *excerpt) bottom() uint64 {
	bottom, oldest := x.r.bottom(), x.r.s.oldest.Load()
	if bottom == 0 && oldest != noDay {
		return key.Start(oldest)
	}
	return bottom
}

// standing goes through all objects, and yields the versions that stood at the extent's start.
func (x *excerpt) standing(of history.Extent) iter.Seq2[*history.Record, error] {
	at := timestamp(of.Start)
	of.Start, of.End = time.Time{}, time.Time{}
	sc := history.Scan{Filter: of.Filter(), Bodies: true}
	return yielded(func(yield func(*history.Record) error) error {
		return x.r.records(x.ctx, &sc, func(f func(hit) error) error { return x.stood(at, f) }, yield)
	})
}

// stood calls f for the versions that stood at a time, of all objects.
func (x *excerpt) stood(at uint64, f func(hit) error) error {
	return x.r.each(key.Identities(), func(item *badger.Item) error {
		object, err := key.DecodeIdentity(item.Key())
		if err == nil {
			err = x.ctx.Err()
		}
		if err != nil {
			return err
		}
		h, ok, err := x.r.standing(object, at)
		if err != nil || !ok {
			return err
		}
		return f(h)
	})
}

// records yields the extent's records. Its start stays where it is, though what is answered begins ever later.
func (x *excerpt) records(of history.Extent) iter.Seq2[*history.Record, error] {
	sc := history.Scan{Filter: of.Filter(), Bodies: true}
	return yielded(func(yield func(*history.Record) error) error {
		sp, ok := x.r.s.span(sc)
		if !ok {
			return nil
		}
		p, err := x.r.plan(&sc.Filter)
		if err != nil {
			return err
		}
		return x.r.records(x.ctx, &sc, func(f func(hit) error) error { return x.r.days(p, sp, x.r.allowed(x.ctx, p, f)) }, yield)
	})
}

// yielded makes an iterator of a walk, which ends where the iteration does.
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
