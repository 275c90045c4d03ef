package store

import (
	"encoding/binary"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// plan is how a scan finds the records of a filter: ranges of keys in one
// index, or for a view in two, and the conditions that keys can answer. In each
// range, keys sort by time. A plan doesn't depend on a time span, and never
// changes once it is made, except for metas, hits, unordered, and the decisions
// that its view keeps.
type plan struct {
	index  *index
	ranges []key.Entry // the prefix of each is a range of a day
	// granted are narrower ranges of a view. Together with the view's
	// conditions, they find the same. nil means that there are none.
	granted []key.Entry

	// The filter's conditions, in numbers. nil means no condition.
	resources map[uint16]bool
	hidden    map[uint16]bool // reserved resources, unless the filter names resources
	verbs     map[byte]bool
	namespace *uint32
	owner     *key.Hash
	view      placeGrants

	// byKey means that [plan.allows] and [reader.grants] decide the filter.
	// Otherwise they only exclude keys, and the record has to be compared with
	// the filter.
	byKey bool
	// metas means that hits need their metadata.
	metas bool
	// hits is the number of hits that are needed, at most. 0 means that it is
	// not known.
	hits int
	// unordered means that the hits of a day may come in any order.
	unordered bool
}

// plan returns the plan for a filter. It uses the first index of the table that
// selects one of the filter's fields. The index of root changes is used only if
// it has everything that the filter selects: from the filter's start on, and no
// consequences. A plan without ranges finds nothing.
func (r *reader) plan(f *history.Filter) (*plan, error) {
	set := fieldsOf(f)
	indexed := max(timestamp(f.Start), r.lowerBound()) >= r.s.rootsSince
	p := &plan{index: indexFor(set, indexed && !slices.Contains(f.Classes, history.Consequence))}
	known, err := p.resolve(r, f)
	if err != nil || !known { // without ranges
		return p, err
	}
	switch class := p.index.class; {
	case p.index.hashOf != nil:
		p.ranges = []key.Entry{{Hash: p.index.hashOf(f)}}
	case class == key.Record:
		err = p.addObjects(r, f)
	case class == key.ByNamespace, class == key.ByResource:
		err = p.addResources(r)
	default: // all entries of the index
		p.ranges = []key.Entry{{}}
	}
	if p.index.partial && slices.Contains(f.Classes, history.Root) && slices.Contains(f.Classes, history.Onset) {
		set &^= fieldClasses // the filter selects all classes of the index
	}
	p.byKey = set&^p.index.decides == 0
	p.finish()
	return p, err
}

// withMetas returns the plan if hits need their metadata, otherwise nil.
func (p *plan) withMetas() *plan {
	if p.metas {
		return p
	}
	return nil
}

// finish completes the ranges of a plan, and sets the narrower ones of its
// view.
func (p *plan) finish() {
	for i := range p.ranges {
		p.ranges[i].Class = p.index.class
	}
	switch granted, narrows := p.grantedRanges(); {
	case !narrows:
	case len(granted) <= fewRanges:
		p.ranges = granted
	default:
		p.granted = granted
	}
}

// ofResource returns a plan for all versions that a plan allows of a resource.
// Their hits are unordered.
func (p *plan) ofResource(r *reader, resource uint16) (*plan, error) {
	one := &plan{
		index: indexFor(fieldResources, false), resources: map[uint16]bool{resource: true},
		namespace: p.namespace, view: p.view, byKey: true, unordered: true,
	}
	if p.namespace != nil {
		one.index = indexFor(fieldResources|fieldNamespace, false)
	}
	err := one.addResources(r)
	one.finish()
	return one, err
}

// resolve resolves the filter's terms to numbers. It returns false if the log
// contains none of the filter's resources, or not its namespace.
func (p *plan) resolve(r *reader, f *history.Filter) (known bool, err error) {
	for _, v := range f.Verbs {
		if p.verbs == nil {
			p.verbs = map[byte]bool{}
		}
		p.verbs[byte(v)] = true
	}
	if f.Owner != "" {
		owner := ownerHash(f.Owner)
		p.owner = &owner
	}
	if namespace, narrowed := f.Namespace.Namespace(); narrowed {
		n, found, err := r.namespace(namespace)
		if err != nil || !found {
			return false, err
		}
		p.namespace = &n
	}
	if p.view, err = r.placeGrants(f.View); err != nil {
		return false, err
	}
	if len(f.Resources) == 0 {
		p.hidden, err = r.numbers(history.ReservedResources())
		return true, err
	}
	p.resources, err = r.numbers(f.Resources)
	return len(p.resources) > 0, err
}

// numbers returns the numbers of the resources that the log contains.
func (r *reader) numbers(of []schema.GroupResource) (map[uint16]bool, error) {
	all := map[uint16]bool{}
	for _, g := range of {
		n, err := r.resource(g)
		if err != nil {
			return nil, err
		}
		if n != 0 {
			all[n] = true
		}
	}
	return all, nil
}

// allows reports whether a key's version can match the filter, as far as the
// index's keys decide that.
func (p *plan) allows(e key.Entry) bool {
	if p.index.decides.has(fieldVerbs) && p.verbs != nil && !p.verbs[e.Verb] {
		return false
	}
	if p.index.decides.has(fieldResources) && !p.contains(e.Resource) {
		return false
	}
	if p.index.decides.has(fieldView) && !p.view.contain(e.Resource, e.Namespace) {
		return false
	}
	return !p.index.decides.has(fieldNamespace) || p.namespace == nil || *p.namespace == e.Namespace
}

// contains reports whether the filter's resources contain one.
func (p *plan) contains(resource uint16) bool {
	return p.resources == nil && !p.hidden[resource] || p.resources[resource]
}

// addResources adds a range for each resource that the filter allows. In one
// namespace these are only the resources that the view contains there.
func (p *plan) addResources(r *reader) error {
	return r.eachResource(p.resources, func(n uint16) error {
		if !p.contains(n) {
			return nil
		}
		e := key.Entry{Resource: n}
		if p.namespace != nil {
			e.Namespace = *p.namespace
		}
		if p.namespace == nil || p.view.contain(n, e.Namespace) {
			p.ranges = append(p.ranges, e)
		}
		return nil
	})
}

// eachResource calls f for each of the given resources, or for each resource of
// the log if they are nil. The order is arbitrary.
func (r *reader) eachResource(some map[uint16]bool, f func(uint16) error) error {
	if some == nil {
		some = map[uint16]bool{}
		prefix := key.Number(key.Resources, 0)[:3] // without the number
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

// addObjects adds a range for each incarnation with the filter's name and UID.
// It finds them by the index of names. If the filter has only a UID, it finds
// them by the heads, whose keys contain a hash of the UID.
func (p *plan) addObjects(r *reader, f *history.Filter) error {
	if f.Name != "" {
		return r.each(key.Names(f.Name), func(item *badger.Item) error {
			resource, namespace, object, err := key.DecodeName(item.Key())
			if err != nil {
				return err
			}
			if p.contains(resource) && (p.namespace == nil || *p.namespace == namespace) {
				return p.addObject(r, f, object)
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
				return p.addObject(r, f, head.Object)
			})
		})
	})
}

// addObject adds an object's range if the object has the filter's name and UID,
// and is in the view. Its key doesn't prove that, because hashes can collide.
func (p *plan) addObject(r *reader, f *history.Filter, object uint64) error {
	id, err := r.identityOf(object)
	if err != nil {
		return err
	}
	if (f.Name == "" || f.Name == id.Name) && (f.UID == "" || f.UID == id.UID) && p.view.containObject(id) {
		p.ranges = append(p.ranges, key.Entry{Object: object})
	}
	return nil
}
