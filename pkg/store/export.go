package store

import (
	"context"
	"iter"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Excerpt calls use with the contents of the log within an extent. The excerpt
// shows the log as it is when Excerpt is called, while appends go on. It is
// valid until use returns, and needs no more memory than a scan.
//
// The extent is cut to what the log contains: it does not begin before the
// oldest answerable record, and does not end after now. A record that is
// committed later is dated later, unless the clock jumps back. An empty extent
// is a [history.Invalid] error. If a day of the extent is dropped meanwhile, or
// the log is closed, the excerpt ends with an error.
func (s *Store) Excerpt(ctx context.Context, of history.Extent, use func(*history.Excerpt) error) error {
	cluster, err := history.ClusterUID(ctx, s.State, laterOf(s.now(), moment(s.last.Load())))
	if err != nil {
		return err
	}
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	return s.guard(func() error {
		now := s.now()
		txn, to := s.snapshot()
		defer txn.Discard()
		// The clock may have been set back. The newest record is in the extent.
		if newest := moment(to.Time); !now.After(newest) {
			now = newest.Add(1)
		}
		x := &excerpt{ctx: ctx, r: s.newReader(txn)}
		if err := x.r.loadFloor(); err != nil {
			return err
		}
		e, err := x.cut(of, now)
		if err != nil {
			return err
		}
		e.Cluster = cluster
		return use(e)
	})
}

// laterOf returns the later of two times.
func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// excerpt is a running [Store.Excerpt].
type excerpt struct {
	ctx context.Context //nolint:containedctx // for one call
	r   *reader
}

// cut returns the excerpt of an extent, cut to what the log contains. An
// excerpt of everything contains the reserved resources. The errors describe
// the extent as the caller requested it.
func (x *excerpt) cut(of history.Extent, now time.Time) (*history.Excerpt, error) {
	oldest := moment(x.lowerBound())
	asked := of
	if of.Start.Before(oldest) {
		of.Start = oldest
	}
	if of.End.IsZero() || of.End.After(now) {
		of.End = now.UTC()
	}
	switch {
	case !asked.End.IsZero() && !asked.Start.Before(asked.End):
		return nil, history.Errorf(history.Invalid, "the range ends at %s, before it begins",
			asked.End.UTC().Format(time.RFC3339))
	case !asked.Start.Before(now):
		return nil, history.Errorf(history.Invalid, "the range begins at %s, in the future",
			asked.Start.UTC().Format(time.RFC3339))
	case !of.Start.Before(of.End):
		return nil, history.Errorf(history.Invalid, "no history in the range: history begins at %s",
			oldest.Format(time.RFC3339))
	}
	contents, err := x.contents(of)
	if err != nil {
		return nil, err
	}
	e := &history.Excerpt{Extent: of, Baselines: x.baselines(contents), Records: x.records(of, contents)}
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
	e.Gaps, err = x.r.gaps(x.ctx, contents.Resources, of.Start, of.End)
	return e, err
}

// contents returns the extent with the names of all resources of the log if it
// contains everything. Only names select the reserved resources.
func (x *excerpt) contents(of history.Extent) (history.Extent, error) {
	if len(of.Resources) > 0 || of.Namespace != history.AllNamespaces {
		return of, nil
	}
	err := x.r.eachResource(nil, func(n uint16) error {
		ref, err := x.r.ref(codec.Identity{Resource: n})
		of.Resources = append(of.Resources, ref.GroupResource())
		return err
	})
	return of, err
}

// lowerBound returns the time since when the log is complete. If neither the
// retention nor a dropped day bounds it, that is the day of the first version.
func (x *excerpt) lowerBound() uint64 {
	bound, oldest := x.r.lowerBound(), x.r.s.oldest.Load()
	if bound == 0 && oldest != noDay {
		return key.Start(oldest)
	}
	return bound
}

// baselines yields the baselines of all objects at the beginning of the extent.
func (x *excerpt) baselines(of history.Extent) iter.Seq2[*history.Record, error] {
	at := timestamp(of.Start)
	of.Start, of.End = time.Time{}, time.Time{}
	sc := history.Scan{Filter: of.Filter(), Bodies: true}
	return yielded(func(yield func(*history.Record) error) error {
		return x.r.records(x.ctx, &sc, func(f func(indexHit) error) error { return x.eachBaseline(at, f) }, yield)
	})
}

// eachBaseline calls f for the newest version of every object before a time.
func (x *excerpt) eachBaseline(before uint64, f func(indexHit) error) error {
	return x.r.each(key.AllHeads(), func(item *badger.Item) error {
		var head codec.Head
		err := item.Value(func(v []byte) (err error) { head, err = codec.DecodeHead(v); return err })
		if err == nil {
			err = x.ctx.Err()
		}
		if err != nil {
			return err
		}
		h, ok, err := x.r.versionBefore(&head, before)
		if err != nil || !ok {
			return err
		}
		return f(h)
	})
}

// records yields the records of the extent. It reads the days directly, without
// the lower bound of the retention. So the extent does not shrink while the
// retention advances. The names of all resources would select a worse index, so
// the plan is that of the extent without them.
func (x *excerpt) records(of, contents history.Extent) iter.Seq2[*history.Record, error] {
	sc := history.Scan{Filter: contents.Filter(), Bodies: true}
	return yielded(func(yield func(*history.Record) error) error {
		sp, ok := x.r.s.span(sc)
		if !ok {
			return nil
		}
		asked := of.Filter()
		p, err := x.r.plan(&asked)
		if err != nil {
			return err
		}
		p.hidden = nil // the records are compared with the contents
		walk := func(f func(indexHit) error) error { return x.r.days(p, sp, x.r.allowed(x.ctx, p, f)) }
		return x.r.records(x.ctx, &sc, walk, yield)
	})
}
