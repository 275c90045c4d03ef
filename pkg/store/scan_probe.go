package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// MayMatch reports for each of some filters whether the log may have a version
// that it selects. If it reports false, there is none. It is for filters with
// an owner or a target: it looks at one key a day for each of them, in the
// order of the keys, so many filters cost less than as many scans. It reports
// true for all others. If a day is dropped meanwhile, it begins again.
func (s *Store) MayMatch(ctx context.Context, filters []history.Filter) (may []bool, err error) {
	err = s.retryAfterRepair(func() (bool, error) {
		may = make([]bool, len(filters))
		return false, s.viewOnce(func(r *reader) error { return r.mayMatch(ctx, filters, may) })
	})
	if errors.Is(err, errDropped) {
		return s.MayMatch(ctx, filters)
	}
	return may, err
}

// probe is a range of keys in an index, in which a filter may select a version.
type probe struct {
	key.Entry

	span span
	may  *bool
}

// mayMatch sets what [Store.MayMatch] returns.
func (r *reader) mayMatch(ctx context.Context, filters []history.Filter, may []bool) error {
	if err := r.loadFloor(); err != nil {
		return err
	}
	var probes []probe
	first, last := uint64(math.MaxUint64), uint64(0)
	bound := r.lowerBound()
	for i := range filters {
		sp, ok := r.s.span(history.Scan{Filter: filters[i]})
		if !ok {
			continue
		}
		p, err := r.plan(&filters[i])
		if err != nil {
			return err
		}
		if p.index.hashOf == nil || len(p.ranges) != 1 {
			may[i] = len(p.ranges) > 0
			continue
		}
		err = r.walkBaselines(p, sp, bound, func(indexHit) (bool, error) { may[i] = true; return false, nil })
		if err != nil {
			return err
		}
		if sp.from = max(sp.from, bound); !may[i] && sp.from <= sp.to {
			probes = append(probes, probe{p.ranges[0], sp, &may[i]})
			first, last = min(first, sp.from), max(last, sp.to)
		}
	}
	slices.SortFunc(probes, func(a, b probe) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	all := span{from: first, to: last}
	return r.spanDays(all, func(day uint16) (bool, error) {
		if err := r.s.checkOpen(ctx); err != nil {
			return false, err
		}
		return true, r.probeDay(day, probes)
	})
}

// manyProbes is the number of probes of a day from which all blocks of an index
// are verified together.
const manyProbes = 64

// probeDay looks for a key of each probe in a day. The probes are sorted.
func (r *reader) probeDay(day uint16, probes []probe) error {
	its := r.newSharedIters(day, span{})
	defer its.close()
	whole := map[key.Class]bool{} // the classes that are verified
	for i := range probes {
		p := &probes[i]
		if *p.may || key.Day(p.span.from) > day || key.Day(p.span.to) < day {
			continue
		}
		if len(probes) >= manyProbes && !whole[p.Class] {
			if err := r.integrity.checkPrefix(key.ClassPrefix(day, p.Class)); err != nil {
				return err
			}
			whole[p.Class] = true
		}
		prefix := p.Prefix(day)
		from := binary.BigEndian.AppendUint64(bytes.Clone(prefix), p.span.from)
		it := its.of(p.Class)
		if it.Seek(from); it.Valid() && bytes.HasPrefix(it.Item().Key(), prefix) {
			e, err := key.Decode(it.Item().Key())
			if err != nil {
				return err
			}
			*p.may = e.TS <= p.span.to
		}
		if !whole[p.Class] {
			if err := r.integrity.check(keyrange.Range{From: from, To: afterTimes(prefix)}); err != nil {
				return err
			}
		}
	}
	return nil
}
