package store

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Limits of the ranges that are merged for a view. Each of them costs a seek
// per day.
const (
	// fewRanges is how many ranges are read without looking for a better way.
	fewRanges = 16
	// maxGrantedRanges bounds the ranges of a plan. A view with more pairs of a
	// resource and a namespace is read through the index that the other fields
	// select.
	maxGrantedRanges = 1 << 14
	// seekKeys is how many keys are read in the time of a seek.
	seekKeys = 64
)

// placeGrants is a [history.View] in numbers. The zero placeGrants contain
// everything.
type placeGrants struct {
	// all has the resources that are granted completely, pairs the granted
	// namespaces of the others. Both are nil without a view. The value is the
	// creation of the namespace: see [history.Grant].
	all   map[uint16]bool
	pairs map[place]time.Time
	// dated means that some namespaces contain only objects that were created
	// after a time.
	dated bool
	// checked has the decisions of creation for the objects of dated
	// namespaces. Keys have no creation times.
	checked map[uint64]bool
}

// maxChecked bounds the decisions that placeGrants keep, about 1 MB.
const maxChecked = 1 << 15

// place is a resource and a namespace. The number 0 means cluster-scoped.
type place struct {
	resource  uint16
	namespace uint32
}

// placeGrants resolves a view to numbers. Resources and namespaces that the log
// does not contain are omitted.
func (r *reader) placeGrants(view history.View) (g placeGrants, err error) {
	if view == nil {
		return g, nil
	}
	g.all, g.pairs, g.checked = map[uint16]bool{}, map[place]time.Time{}, map[uint64]bool{}
	for of, grant := range view {
		n, err := r.resource(of)
		if err != nil {
			return g, err
		}
		switch {
		case n == 0:
		case grant.All:
			g.all[n] = true
		default:
			for name, since := range grant.Namespaces {
				namespace, known, err := r.namespace(name)
				if err != nil {
					return g, err
				}
				if known {
					g.pairs[place{n, namespace}] = since
					g.dated = g.dated || !since.IsZero()
				}
			}
		}
	}
	return g, nil
}

// namespace returns the number of a namespace, 0 for "". It reports false if
// the log does not contain the namespace.
func (r *reader) namespace(name string) (n uint32, known bool, err error) {
	if name == "" {
		return 0, true, nil
	}
	n, err = r.s.terms.number(r.txn, term{key.Namespaces, name})
	return n, n != 0, err
}

// contain reports whether the grants contain a place. Objects there may be
// older than the grant: see [reader.grants].
func (g *placeGrants) contain(resource uint16, namespace uint32) bool {
	if g.pairs == nil || g.all[resource] {
		return true
	}
	_, granted := g.pairs[place{resource, namespace}]
	return granted
}

// containObject reports whether the grants contain an object.
func (g *placeGrants) containObject(id codec.Identity) bool {
	if g.pairs == nil || g.all[id.Resource] {
		return true
	}
	since, granted := g.pairs[place{id.Resource, id.Namespace}]
	return granted && !creation(id).Before(since)
}

// grants reports whether the plan's view contains the object of a key, whose
// place it contains. It reads the identity of each object of a dated place
// once.
func (r *reader) grants(p *plan, e key.Entry) (bool, error) {
	if !p.view.dated || p.view.all[e.Resource] {
		return true, nil
	}
	if granted, known := p.view.checked[e.Object]; known {
		return granted, nil
	}
	id, err := r.identityOf(e.Object)
	if err != nil {
		return false, err
	}
	granted := p.view.containObject(id)
	if len(p.view.checked) >= maxChecked {
		clear(p.view.checked)
	}
	p.view.checked[e.Object] = granted
	return granted, nil
}

// grantedRanges returns the ranges of the plan's places, for a view that
// narrows a plan by resource or time. They are in the indexes by resource and
// by namespace, and have all hits that the plan allows. It reports false if the
// plan has no such view, or too many places.
func (p *plan) grantedRanges() (ranges []key.Entry, narrows bool) {
	if p.view.pairs == nil || p.index.class != key.ByResource && p.index.class != key.ByTime {
		return nil, false
	}
	for n := range p.view.all {
		if p.contains(n) {
			ranges = append(ranges, key.Entry{Class: key.ByResource, Resource: n})
		}
	}
	for at := range p.view.pairs {
		if p.contains(at.resource) {
			ranges = append(ranges, key.Entry{Class: key.ByNamespace, Resource: at.resource, Namespace: at.namespace})
		}
	}
	return ranges, len(ranges) <= maxGrantedRanges
}

// grantedDay is [reader.mergeDay] for a plan with granted ranges.
//
// A seek to each of them may cost more than reading the index that the other
// fields select, and skipping what is not granted: a page of a caller with
// rights in half of the namespaces is found among twice as many keys. But a
// caller with rights in quiet namespaces would read all keys. So this index is
// read until it has cost as much as the seeks would, and then the ranges. This
// costs at most twice as much as the better of both.
func (r *reader) grantedDay(p *plan, day uint16, sp span, f func(indexHit) (bool, error)) (bool, error) {
	ranges, err := r.occupied(p, day)
	if err != nil || len(ranges) == 0 {
		return err == nil, err
	}
	// Several ranges are not in the span's order if the hits may be unordered.
	if len(ranges) > fewRanges && (len(p.ranges) == 1 || !p.unordered) {
		misses, rest := 0, false
		more, err := r.mergeDay(p, p.ranges, day, sp, func(h indexHit) (bool, error) {
			if !p.allows(h.Entry) {
				misses++
			}
			if misses > seekKeys*len(ranges) {
				sp, rest = sp.after(h.TS), true
				return false, nil
			}
			return f(h)
		})
		if err != nil || !rest {
			return more, err
		}
	}
	return r.mergeDay(p, ranges, day, sp, f)
}

// after returns the part of a span that follows a time, in its order.
func (s span) after(ts uint64) span {
	if s.reverse {
		s.to = ts - 1
	} else {
		s.from = ts + 1
	}
	return s
}
