package store

import (
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxGrantedRanges bounds the ranges that are merged for a view. Each of them
// costs a seek per day. A view with more pairs of a resource and a namespace
// is read through the index that the other fields select.
const maxGrantedRanges = 256

// placeGrants is a [history.View] in numbers. The zero placeGrants contain
// everything.
type placeGrants struct {
	// all has the resources that are granted completely, pairs the granted
	// namespaces of the others. Both are nil without a view.
	all   map[uint16]bool
	pairs map[place]bool
	// dated means that some namespaces contain only objects that were created
	// after a time. Keys have no creation times, so records must be compared
	// with the view.
	dated bool
}

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
	g.all, g.pairs = map[uint16]bool{}, map[place]bool{}
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
					g.pairs[place{n, namespace}] = true
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

// contain reports whether the grants contain a place.
func (g placeGrants) contain(resource uint16, namespace uint32) bool {
	return g.pairs == nil || g.all[resource] || g.pairs[place{resource, namespace}]
}

// grantedRanges returns the ranges of the plan's places, for a view that
// narrows a plan by resource or time. They are in the indexes by resource and
// by namespace. It returns nil if the plan's own ranges are better, and an
// empty list if nothing is granted.
func (p *plan) grantedRanges() []key.Entry {
	if p.view.pairs == nil || p.index.class != key.ByResource && p.index.class != key.ByTime {
		return nil
	}
	ranges := []key.Entry{}
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
	if len(ranges) > maxGrantedRanges {
		return nil
	}
	return ranges
}
