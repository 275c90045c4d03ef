package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// objectWalk walks over the objects that a filter may select, in the order of
// [history.ObjectRef.Compare].
type objectWalk struct {
	ctx       context.Context //nolint:containedctx // for one call
	r         *reader
	filter    *history.Filter
	plan      *plan // only with the filter's conditions in numbers
	resources []walkedResource
	// skip reports whether an object can be left out because of its head.
	skip func(*codec.Head) (bool, error)
	// later returns the number from which objects can be left out, because they
	// were recorded first after the walk's time.
	later func() (uint64, error)
	// before is the time before which deleted objects can be left out.
	before uint64
	// existed is set if only objects are needed that existed at this moment. So
	// most objects that were recorded first after it are left out early, by the
	// time of their creation.
	existed *stateMoment
	// changes is set if only objects with a version in this interval are
	// needed. Most heads then exclude their objects: reading them in the order
	// of their keys costs less than by a listing of all namespaces.
	changes *span
}

// walkedResource is a resource with its number.
type walkedResource struct {
	history.ObjectRef // only Group and Resource are set
	number            uint16
}

// candidate is an object with its head.
type candidate struct {
	ref     history.ObjectRef
	created time.Time // zero if it is unknown
	head    codec.Head
	// changed is its newest version in the interval of the walk's changes. It
	// has no time if that is not known.
	changed indexHit
}

// The number of candidates that are sorted at a time. Each of these groups
// reads all heads of a resource.
const (
	minCandidates = 64
	maxCandidates = 4096
)

// walkObjects calls use with a walk over the objects that a filter may select,
// unless there are none. The state at a time must be answerable.
func (s *Store) walkObjects(ctx context.Context, f history.Filter, at time.Time, use func(*objectWalk) error) error {
	return s.viewOnce(func(r *reader) error {
		if err := r.loadFloor(); err != nil {
			return err
		}
		if bound := r.lowerBound(); timestamp(at)+1 < bound {
			return history.Errorf(history.NotFound, "no history at %s: history begins at %s",
				at.UTC().Format(time.RFC3339Nano), moment(bound).Format(time.RFC3339Nano))
		}
		w := &objectWalk{ctx: ctx, r: r, filter: &f, plan: &plan{}}
		known, err := w.plan.resolve(r, &f)
		if err != nil || !known {
			return err
		}
		if err := w.findResources(); err != nil {
			return err
		}
		return use(w)
	})
}

// findResources sets the resources that the filter allows, in order.
func (w *objectWalk) findResources() error {
	err := w.r.eachResource(w.plan.resources, func(n uint16) error {
		ref, err := w.r.ref(codec.Identity{Resource: n})
		if err == nil && w.plan.contains(n) && w.filter.View.Touches(ref.GroupResource()) {
			w.resources = append(w.resources, walkedResource{ref, n})
		}
		return err
	})
	slices.SortFunc(w.resources, func(a, b walkedResource) int { return a.Compare(b.ObjectRef) })
	return err
}

// each calls f for the objects after a position, in order, until f returns an
// error. limit is the number of objects that are probably needed, or 0.
func (w *objectWalk) each(after history.ObjectRef, limit int, f func(*candidate) error) error {
	size := maxCandidates
	if limit > 0 {
		size = min(max(limit+1, minCandidates), maxCandidates)
	}
	first := history.ObjectRef{Group: after.Group, Resource: after.Resource}
	for _, resource := range w.resources {
		if resource.Compare(first) < 0 {
			continue
		}
		collect, err := w.collectorOf(resource, &after, limit, f)
		if err != nil {
			return err
		}
		for more := collect != nil; more; {
			next := nextObjects{after: after, size: size}
			if err := collect(&next); err != nil {
				return err
			}
			found := next.sorted()
			for i := range found {
				if err := f(&found[i]); err != nil {
					return err
				}
			}
			if more = next.more; more {
				after = found[len(found)-1].ref
			}
		}
	}
	return nil
}

// collectorOf returns the function that collects objects of a resource in the
// way that costs least. It calls f for those of a listing, if there is one, and
// moves the position to the last of them. It returns nil if these are all.
func (w *objectWalk) collectorOf(
	of walkedResource, after *history.ObjectRef, limit int, f func(*candidate) error,
) (func(*nextObjects) error, error) {
	if w.filter.Name != "" || w.filter.UID != "" {
		return func(into *nextObjects) error { return w.collectNamed(of.number, into) }, nil
	}
	if w.changes != nil {
		changed, complete, err := w.changed(of.number)
		if err != nil {
			return nil, err
		}
		if complete {
			return func(into *nextObjects) error { return w.collectChanged(changed, into) }, nil
		}
	}
	if listed, err := w.eachOfListing(of, after, limit, f); listed || err != nil {
		return nil, err
	}
	return func(into *nextObjects) error { return w.collect(of.number, into) }, nil
}

// eachOfListing is [listedWalk.each] if there is a listing of the resource. It
// reports whether it has called f for all of its objects.
func (w *objectWalk) eachOfListing(
	of walkedResource, after *history.ObjectRef, limit int, f func(*candidate) error,
) (complete bool, err error) {
	narrow := w.plan.namespace != nil || w.plan.view.pairs != nil && !w.plan.view.all[of.number]
	continued := limit > 0 && of.Group == after.Group && of.Resource == after.Resource
	if w.changes != nil && !narrow {
		return false, nil
	}
	later, err := w.later()
	if err != nil {
		return false, err
	}
	l, err := w.r.listing(w.ctx, of.number, later, continued || narrow)
	if err != nil || l == nil {
		return false, err
	}
	listed, err := w.newListedWalk(l, after, limit)
	if err != nil || (w.changes != nil || limit == 0) && !listed.few(of.number) {
		return false, err
	}
	early, err := listed.each(of, f)
	return err == nil && !early, err
}

// listed reports whether the walk is about a namespace.
func (w *objectWalk) listed(resource uint16, n *listedNamespace) bool {
	return (w.plan.namespace == nil || *w.plan.namespace == n.number) && w.plan.view.contain(resource, n.number)
}

// nextObjects collects the first objects after a position.
type nextObjects struct {
	after history.ObjectRef
	size  int  // the number of objects that sorted returns, at most
	more  bool // there are others after them

	list  []candidate
	bound *history.ObjectRef // objects after it don't belong to the first ones
}

// add adds an object unless it is known not to belong to the first ones. At
// most twice as many are stored as are returned, so that memory is bounded and
// sorting is rare.
func (n *nextObjects) add(c candidate) {
	if c.ref.Compare(n.after) <= 0 {
		return
	}
	if n.bound != nil && c.ref.Compare(*n.bound) > 0 {
		n.more = true
		return
	}
	if n.list = append(n.list, c); len(n.list) >= 2*n.size {
		n.cut()
	}
}

// cut sorts the objects, and removes those that exceed the size.
func (n *nextObjects) cut() {
	slices.SortFunc(n.list, func(a, b candidate) int { return a.ref.Compare(b.ref) })
	if len(n.list) > n.size {
		clear(n.list[n.size:])
		n.list, n.more = n.list[:n.size], true
		bound := n.list[n.size-1].ref
		n.bound = &bound
	}
}

// sorted returns the first objects in order.
func (n *nextObjects) sorted() []candidate {
	n.cut()
	return n.list
}

// collect adds the objects of a resource that the filter's namespace and view
// allow.
func (w *objectWalk) collect(resource uint16, into *nextObjects) error {
	n := 0
	err := w.r.each(key.Heads(resource), func(item *badger.Item) error {
		if err := w.r.s.checkOpen(w.ctx); err != nil {
			return err
		}
		n++
		return item.Value(func(v []byte) error { return w.addHead(v, into) })
	})
	if err == nil {
		w.r.s.listings.count(resource, n)
	}
	return err
}

// collectNamed is collect for objects with a name or a UID.
func (w *objectWalk) collectNamed(resource uint16, into *nextObjects) error {
	p := *w.plan
	p.resources = map[uint16]bool{resource: true}
	if err := p.addObjects(w.r, w.filter); err != nil {
		return err
	}
	for i := range p.ranges {
		id, err := w.r.identityOf(p.ranges[i].Object)
		if err != nil {
			return err
		}
		// The entry by name may be without a head: it expires separately.
		if v, found, err := w.findHead(&id); err != nil {
			return err
		} else if found {
			if err := w.addHead(v, into); err != nil {
				return err
			}
		}
	}
	return nil
}

// minChanges is the number of changes that are read of a resource whose number
// of objects is unknown.
const minChanges = 4096

// changed returns the newest version of each object of a resource that has
// versions in the interval of the walk's changes, by object. It reports false
// if reading all heads costs less.
func (w *objectWalk) changed(resource uint16) (newest map[uint64]indexHit, complete bool, err error) {
	p, err := w.plan.ofResource(w.r, resource)
	if err != nil {
		return nil, false, err
	}
	left, known := w.r.s.listings.size(resource)
	if !known {
		left = minChanges
	}
	sp := *w.changes
	sp.to = min(sp.to, w.r.s.last.Load())
	if sp.from > sp.to {
		return nil, true, nil
	}
	days := int(key.Day(sp.to)) - int(key.Day(sp.from)) + 1
	if days*min(len(p.ranges), fewRanges)*seekKeys > left {
		return nil, false, nil
	}
	newest = map[uint64]indexHit{}
	allowed := w.r.allowed(w.ctx, p, func(h indexHit) error {
		if h.TS > newest[h.Object].TS {
			h.Class = key.Record
			newest[h.Object] = h
		}
		return nil
	})
	err = w.r.days(p, sp, func(h indexHit) (bool, error) {
		if left--; left < 0 {
			return false, nil
		}
		return allowed(h)
	})
	return newest, left >= 0, err
}

// collectChanged adds the objects of versions that [objectWalk.changed]
// returned.
func (w *objectWalk) collectChanged(newest map[uint64]indexHit, into *nextObjects) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(newest)), maxListedRead) {
		read, err := w.readNumbered(chunk)
		if err != nil {
			return err
		}
		for i := range read {
			c, selected, err := read[i].candidate(w)
			if err := cmp.Or(err, w.r.s.checkOpen(w.ctx)); err != nil {
				return err
			}
			if c.changed = newest[chunk[i]]; selected {
				into.add(c)
			}
		}
	}
	return nil
}

// readNumbered reads the identities and heads of objects. It verifies the
// blocks of all heads together.
func (w *objectWalk) readNumbered(objects []uint64) ([]numbered, error) {
	read, blocks := make([]numbered, len(objects)), make([]keyrange.Range, 0, len(objects))
	for i, object := range objects {
		id, found, err := w.r.findIdentity(object)
		if err != nil {
			return nil, err
		}
		if read[i] = (numbered{object: object, id: id}); found {
			read[i].key = key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
			blocks = append(blocks, keyrange.Single(read[i].key))
		}
	}
	if err := w.r.integrity.check(blocks...); err != nil {
		return nil, err
	}
	for i := range read {
		if read[i].key == nil {
			continue
		}
		var err error
		if read[i].head, err = get(w.r.txn, read[i].key); err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
			return nil, err
		}
	}
	return read, nil
}

// findHead returns the encoded head of an object, and whether there is one.
func (w *objectWalk) findHead(id *codec.Identity) (v []byte, found bool, err error) {
	k := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
	if err := w.r.integrity.checkKey(k); err != nil {
		return nil, false, err
	}
	v, err = get(w.r.txn, k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	return v, err == nil, err
}

// addHead adds the object of an encoded head, unless the head or the object's
// place excludes it.
func (w *objectWalk) addHead(v []byte, into *nextObjects) error {
	c, selected, err := w.candidate(v)
	if err == nil && selected {
		into.add(c)
	}
	return err
}

// candidate returns the object of an encoded head. It reports false if the head
// or the object's place excludes it.
func (w *objectWalk) candidate(v []byte) (c candidate, selected bool, err error) {
	if c.head, err = codec.DecodeHead(v); err != nil {
		return c, false, err
	}
	if skip, err := w.skip(&c.head); skip || err != nil {
		return c, false, err
	}
	id, err := w.r.identityOf(c.head.Object)
	if err != nil {
		return c, false, err
	}
	selected, err = w.setPlace(&c, &id)
	return c, selected, err
}

// setPlace sets the object of a candidate. It reports false if its place
// excludes it.
func (w *objectWalk) setPlace(c *candidate, id *codec.Identity) (selected bool, err error) {
	if w.plan.namespace != nil && *w.plan.namespace != id.Namespace || !w.plan.view.containObject(*id) {
		return false, nil
	}
	c.created = creation(*id)
	if w.existed != nil && c.created.After(moment(w.existed.before-1)) {
		if later, err := w.createdSince(c.head.Object, w.existed); later || err != nil {
			return false, err
		}
	}
	c.ref, err = w.r.ref(*id)
	return err == nil, err
}

// numbered is an object with its identity and its encoded head.
type numbered struct {
	object uint64
	id     codec.Identity
	key    []byte // of the head; nil: the log does not have the object any more
	head   []byte // nil: as above, or the object came back with another number
}

// candidate is [objectWalk.candidate] for an object whose identity is known.
func (n *numbered) candidate(w *objectWalk) (c candidate, selected bool, err error) {
	if n.head == nil {
		return c, false, nil
	}
	c.head, err = codec.DecodeHead(n.head)
	if err == nil && c.head.Object != n.object {
		n.head = nil
		return c, false, nil
	}
	skip := false
	if err == nil {
		skip, err = w.skip(&c.head)
	}
	if err == nil && !skip {
		selected, err = w.setPlace(&c, &n.id)
	}
	if err != nil {
		return c, false, fmt.Errorf("object %d: %w", n.object, err)
	}
	return c, selected, nil
}

// stateMoment is the time of a state.
type stateMoment struct {
	before uint64 // the first time after it
	// known is the first time after which the first version of an object does
	// not belong to the state, as in [history.StateScan.Until].
	known uint64
	// later is an object number. Objects with this number or a higher one were
	// recorded first after the moment. It is 0 until it is needed.
	later uint64
}

// absent reports whether a head shows that its object did not exist. last is
// the moment up to which first versions belong to the state.
func (w *objectWalk) absent(h *codec.Head, at, last *stateMoment) (bool, error) {
	if h.Last.TS != 0 && h.Last.TS < at.before {
		return !h.Alive, nil
	}
	return w.createdSince(h.Object, last)
}

// versionAt returns the version that an object had at a moment. The result is
// false if the object did not exist.
func (w *objectWalk) versionAt(o *candidate, at *stateMoment) (h indexHit, exists bool, err error) {
	ts := o.head.Last.TS
	if ts != 0 && ts < at.before {
		return w.r.versionBefore(&o.head, at.before)
	}
	later, err := w.createdSince(o.head.Object, at)
	if err == nil && !later {
		h, exists, err = w.r.versionBefore(&o.head, at.before)
	}
	if exists || err != nil {
		return h, exists, err
	}
	return w.initialVersion(o, at)
}

// initialVersion returns the first version of an object that existed at a
// moment and was first observed later. The result is false for other objects.
func (w *objectWalk) initialVersion(o *candidate, at *stateMoment) (h indexHit, exists bool, err error) {
	if o.created.After(moment(at.before - 1)) {
		return h, false, nil
	}
	e := key.Entry{Class: key.Record, Object: o.head.Object}
	known := min(at.known, w.r.s.last.Load()+1)
	for ts := at.before; ts < known; ts = key.Start(uint32(key.Day(ts)) + 1) {
		first, found, err := w.r.first(e, key.Day(ts))
		switch {
		case w.r.droppedMeanwhile(key.Day(ts)):
			return h, false, errDropped
		case err != nil:
			return h, false, err
		case found && (first < at.before || first >= known):
			return h, false, nil
		case found:
			h.Entry, h.TS = e, first
			if h.meta, err = w.r.meta(h.Entry); err != nil {
				return h, false, err
			}
			first, err := codec.DecodeOutline(h.meta)
			if err != nil || !first.Initial || first.Revision != 1 {
				return h, false, err
			}
			return h.existing()
		}
	}
	return h, false, nil
}

// versionBefore returns the newest version before a time of the object with a
// head. The rules of [reader.baselineAt] apply.
//
// The head has the time of the newest version. If that is before the time, no
// other version has to be found.
func (r *reader) versionBefore(head *codec.Head, before uint64) (h indexHit, exists bool, err error) {
	ts := head.Last.TS
	if ts == 0 || ts >= before {
		return r.baselineAt(head.Object, before)
	}
	if !head.Alive {
		return h, false, nil
	}
	h = indexHit{Entry: key.Entry{Class: key.Record, Object: head.Object, TS: ts}}
	k := h.Encode()
	if h.baseline = ts < key.Start(r.floorDay); h.baseline {
		k = key.Baseline(h.Object, h.TS)
	}
	switch h.meta, err = get(r.txn, k); {
	case errors.Is(err, badger.ErrKeyNotFound): // dropped or damaged, which is found there
		return r.baselineAt(head.Object, before)
	case err != nil:
		return h, false, err
	default:
		return h.existing()
	}
}

// createdSince reports whether it is certain that an object was recorded first
// after a moment.
//
// Objects are numbered in the order of their first versions. Without this, each
// object that was created after the moment would cost a search in every day
// before it.
func (w *objectWalk) createdSince(object uint64, at *stateMoment) (bool, error) {
	later, err := w.firstCreated(at)
	return err == nil && object >= later, err
}

// firstCreated returns the number from which createdSince is certain.
func (w *objectWalk) firstCreated(at *stateMoment) (uint64, error) {
	if at.later == 0 {
		later, err := w.r.firstCreation(w.ctx, at.before)
		if err != nil {
			return 0, err
		}
		at.later = later
	}
	return at.later, nil
}

// maxCreationSearch bounds the versions of a day among which the first version
// of an object is searched.
const maxCreationSearch = 1024

// firstCreation returns the number of an object whose first version is not
// before a time: if possible the first one of all. It returns the largest
// number if it finds none.
func (r *reader) firstCreation(ctx context.Context, ts uint64) (uint64, error) {
	last := r.s.last.Load()
	for ; ts <= last; ts = key.Start(uint32(key.Day(ts)) + 1) {
		if err := r.s.checkOpen(ctx); err != nil {
			return 0, err
		}
		object, err := r.firstCreationOfDay(ts)
		if err != nil || object != 0 {
			return object, err
		}
	}
	return math.MaxUint64, nil
}

// firstCreationOfDay is firstCreation for the rest of a day. It returns 0 if it
// finds none.
func (r *reader) firstCreationOfDay(ts uint64) (uint64, error) {
	prefix := key.ClassPrefix(key.Day(ts), key.ByTime)
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	n := 0
	for it.Seek(binary.BigEndian.AppendUint64(slices.Clone(prefix), ts)); it.Valid() &&
		n < maxCreationSearch; it.Next() {
		n++
		e, err := key.Decode(it.Item().Key())
		if err != nil {
			return 0, err
		}
		var o codec.Outline
		err = it.Item().Value(func(meta []byte) (err error) { o, err = codec.DecodeOutline(meta); return err })
		if err != nil {
			return 0, err
		}
		if o.Revision == 1 {
			return e.Object, nil
		}
	}
	return 0, nil
}
