package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// plan is the narrowest way to a filter's records: ranges of one class of keys, in each of which keys sort by time, and
// what the keys themselves tell about the filter.
type plan struct {
	class  key.Class
	ranges []key.Entry // of class; in each, every key is to be looked at
	// resources and verbs that the filter allows; nil allows all
	resources map[uint16]bool
	verbs     map[byte]bool
	namespace uint32 // that the filter wants, where place is set
	place     bool
	owner     *key.Hash // that the filter wants; nil: none
	// byKey says that allows decides the filter; otherwise it only excludes.
	byKey bool
	metas bool // metadata is needed
}

// plan chooses an index: an object's own records before an Event's target, an owner, a resource in a namespace, a
// resource, and all. A plan without ranges finds nothing.
func (r *reader) plan(f *history.Filter) (*plan, error) {
	p := &plan{}
	known, err := p.facts(r, f)
	if err != nil || !known {
		return p, err
	}
	switch {
	case f.Name != "" || f.UID != "":
		p.class = key.Record
		err = p.objects(r, f)
	case f.Regarding != nil:
		p.class = key.ByTarget
		p.ranges = []key.Entry{{Hash: targetHash(f.Regarding)}}
	case f.Owner != "":
		p.class = key.ByOwner
		p.ranges = []key.Entry{{Hash: *p.owner}}
	case p.place:
		p.class = key.ByNamespace
		err = p.perResource(r)
	case p.resources != nil:
		p.class = key.ByResource
		err = p.perResource(r)
	default:
		p.class = key.ByTime
		p.ranges = []key.Entry{{}}
	}
	indexed := p.class == key.ByTime || p.class == key.ByResource || p.class == key.ByNamespace
	p.byKey = indexed && f.Regarding == nil && f.Owner == "" && f.Manager == "" && len(f.Revisions) == 0
	for i := range p.ranges {
		p.ranges[i].Class = p.class
	}
	return p, err
}

// facts puts the filter into numbers. It is false where the filter names only what the log has never seen.
func (p *plan) facts(r *reader, f *history.Filter) (bool, error) {
	for _, v := range f.Verbs {
		if p.verbs == nil {
			p.verbs = map[byte]bool{}
		}
		p.verbs[byte(v)] = true
	}
	if f.Owner != "" {
		owner := key.Sum(string(f.Owner))
		p.owner = &owner
	}
	if namespace, narrowed := f.Namespace.Namespace(); narrowed {
		p.place = true
		if namespace != "" {
			n, err := r.s.terms.number(r.txn, term{key.Namespaces, namespace})
			if err != nil || n == 0 {
				return false, err
			}
			p.namespace = n
		}
	}
	if len(f.Resources) == 0 {
		return true, nil
	}
	p.resources = map[uint16]bool{}
	for _, g := range f.Resources {
		n, err := r.resource(g)
		if err != nil {
			return false, err
		}
		if n != 0 {
			p.resources[n] = true
		}
	}
	return len(p.resources) > 0, nil
}

// allows tells whether the key of a version leaves it possible that the filter selects it.
func (p *plan) allows(e key.Entry) bool {
	if p.class == key.Record {
		return true
	}
	if p.verbs != nil && !p.verbs[e.Verb] {
		return false
	}
	if p.class == key.ByTarget || p.class == key.ByOwner {
		return true
	}
	return (p.resources == nil || p.resources[e.Resource]) && (!p.place || p.namespace == e.Namespace)
}

// perResource makes a range of each resource that the filter allows.
func (p *plan) perResource(r *reader) error {
	return r.eachResource(p.resources, func(n uint16) error {
		p.ranges = append(p.ranges, key.Entry{Resource: n, Namespace: p.namespace})
		return nil
	})
}

// eachResource calls f for each of the given resources or, where they are nil, for each one that the log knows.
func (r *reader) eachResource(some map[uint16]bool, f func(uint16) error) error {
	if some == nil {
		some = map[uint16]bool{}
		prefix := key.Number(key.Resources, 0)[:3]
		err := r.each(prefix, func(item *badger.Item) error {
			some[uint16(binary.BigEndian.Uint32(item.Key()[len(prefix):]))] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	for n := range some {
		if err := f(n); err != nil {
			return err
		}
	}
	return nil
}

// objects makes a range of each incarnation that the filter's name or UID selects.
func (p *plan) objects(r *reader, f *history.Filter) error {
	if f.Name != "" {
		return r.each(key.Names(f.Name), func(item *badger.Item) error {
			resource, namespace, object, err := key.DecodeName(item.Key())
			if err != nil {
				return err
			}
			if (p.resources == nil || p.resources[resource]) && (!p.place || p.namespace == namespace) {
				return p.object(r, f, object)
			}
			return nil
		})
	}
	return r.eachResource(p.resources, func(n uint16) error {
		return r.each(key.HeadsOf(n, string(f.UID)), func(item *badger.Item) error {
			return item.Value(func(v []byte) error {
				head, err := codec.DecodeHead(v)
				if err != nil {
					return fmt.Errorf("head: %w", err)
				}
				return p.object(r, f, head.Object)
			})
		})
	})
}

// object adds an object's range if it is what the filter asks for: hashes may collide.
func (p *plan) object(r *reader, f *history.Filter, object uint64) error {
	id, err := r.identity(object)
	if err != nil {
		return err
	}
	if (f.Name == "" || f.Name == id.ref.Name) && (f.UID == "" || f.UID == id.ref.UID) {
		p.ranges = append(p.ranges, key.Entry{Object: object})
	}
	return nil
}

// each calls f for every key with a prefix, in order. The item is valid until f returns.
func (r *reader) each(prefix []byte, f func(*badger.Item) error) error {
	if err := r.sound.checkPrefix(prefix); err != nil {
		return err
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := r.s.ended(); err != nil {
			return err
		}
		if err := f(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

// keyRange is a range of keys. from belongs to it; to does not, and nil is the end of all keys.
type keyRange struct{ from, to []byte }

// prefixRange returns the range of the keys with a prefix.
func prefixRange(prefix []byte) keyRange { return keyRange{prefix, prefixEnd(prefix)} }

// prefixEnd returns the first key behind those with a prefix; nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < 0xff {
			end := bytes.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}

// before reports whether a key is below the end of a range.
func before(k, to []byte) bool { return to == nil || bytes.Compare(k, to) < 0 }

func (r keyRange) empty() bool { return r.to != nil && bytes.Compare(r.from, r.to) >= 0 }

// keyRanges are ranges in their order, of which no two have a key in common.
type keyRanges []keyRange

// merged returns the union of ranges, which may come in any order.
func merged(all []keyRange) (union keyRanges) {
	all = slices.DeleteFunc(slices.Clone(all), keyRange.empty)
	slices.SortFunc(all, func(a, b keyRange) int { return bytes.Compare(a.from, b.from) })
	for _, r := range all {
		last := len(union) - 1
		if last < 0 || union[last].to != nil && bytes.Compare(union[last].to, r.from) < 0 {
			union = append(union, r)
			continue
		}
		if union[last].to != nil && (r.to == nil || bytes.Compare(r.to, union[last].to) > 0) {
			union[last].to = r.to
		}
	}
	return union
}

// contains reports whether a key is in one of the ranges.
func (l keyRanges) contains(k []byte) bool {
	i := sort.Search(len(l), func(i int) bool { return bytes.Compare(l[i].from, k) > 0 })
	return i > 0 && before(k, l[i-1].to)
}

// within returns the parts of the ranges in which keys have a prefix.
func (l keyRanges) within(prefix []byte) (parts keyRanges) {
	p := prefixRange(prefix)
	for _, r := range l {
		if bytes.Compare(r.from, p.from) < 0 {
			r.from = p.from
		}
		if r.to == nil || p.to != nil && bytes.Compare(p.to, r.to) < 0 {
			r.to = p.to
		}
		if before(r.from, p.to) && !r.empty() {
			parts = append(parts, r)
		}
	}
	return parts
}

// touches reports whether a key with the prefix may be in one of the ranges.
func (l keyRanges) touches(prefix []byte) bool { return len(l.within(prefix)) > 0 }
