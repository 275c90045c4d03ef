package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Limits of listings.
const (
	// minListed is the number of objects from which a resource is listed.
	minListed = 4096
	// maxListed bounds the objects of all listings, about 4 MB.
	maxListed = 1 << 19
	// listedShare bounds the objects that are read by a listing for one page: a
	// fraction of the resource's objects. Reading all heads in the order of
	// their keys then costs less for each of them.
	listedShare = 8
)

// listings have the objects of large resources in the order of
// [history.ObjectRef.Compare]. Heads have no order, so each page of a state
// would read all of them. A listing is made for the second page that needs it.
//
// It is safe for concurrent use.
type listings struct {
	// turn has one element, which the goroutine has that changes the fields
	// below. Making a listing takes long, so waiting ends with a context.
	turn chan struct{}
	of   map[uint16]*listing // by resource; nil: one is worth its cost
	most int                 // objects of all listings
}

// listing has the numbers of a resource's objects. It never changes, and may
// contain objects that the log does not have any more.
type listing struct {
	until      uint64 // objects with higher numbers are missing
	size       int
	namespaces []listedNamespace // by name
	gone       atomic.Int64      // objects that were not found, at least
}

// listedNamespace are the objects of a namespace, by name and UID.
type listedNamespace struct {
	name    string // "" for cluster-scoped objects
	number  uint32
	objects []uint64
}

func newListings() *listings {
	l := &listings{turn: make(chan struct{}, 1), of: map[uint16]*listing{}, most: maxListed}
	l.turn <- struct{}{}
	return l
}

// lock waits for the turn, until the context ends.
func (l *listings) lock(ctx context.Context) error {
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *listings) unlock() { l.turn <- struct{}{} }

// suggest makes the next page of a resource make a listing, if the number of
// its objects is worth the cost.
func (l *listings) suggest(ctx context.Context, resource uint16, objects int) error {
	if objects <= minListed || objects > l.most {
		return nil
	}
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if _, known := l.of[resource]; !known {
		l.of[resource] = nil
	}
	return nil
}

// putLocked stores a listing. It removes others if there are too many objects.
// The caller has the turn.
func (l *listings) putLocked(resource uint16, made *listing) {
	l.of[resource] = made
	size := 0
	for _, other := range l.of {
		if other != nil {
			size += other.size
		}
	}
	for other, of := range l.of {
		if size <= l.most {
			return
		}
		if of != nil && of != made {
			size -= of.size
			delete(l.of, other)
		}
	}
	if size > l.most {
		delete(l.of, resource)
	}
}

// listing returns a listing of a resource that contains all objects that the
// reader sees with numbers below later. It returns nil if there is none.
// continued means that making one is worth its cost, if the resource is large.
func (r *reader) listing(ctx context.Context, resource uint16, later uint64, continued bool) (*listing, error) {
	l := r.s.listings
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.unlock()
	present, known := l.of[resource]
	if !known || present == nil && !continued {
		return nil, nil
	}
	newest, err := r.newestObject()
	if err != nil {
		return nil, err
	}
	needed := min(newest, later-1)
	switch {
	case present != nil && !present.isOutdated(newest, needed):
		if present.until >= needed {
			return present, nil
		}
		present, err = r.extendListing(ctx, resource, present, newest)
	case continued:
		present, err = r.makeListing(ctx, resource, newest)
	default:
		return nil, nil // reading the heads costs less
	}
	if err != nil {
		return nil, err
	}
	if present == nil {
		delete(l.of, resource)
		return nil, nil
	}
	l.putLocked(resource, present)
	return present, nil
}

// isOutdated reports whether making another listing costs less than to extend
// this one up to an object, or to use it.
func (l *listing) isOutdated(newest, needed uint64) bool {
	return int(l.gone.Load()) > l.size/listedShare || l.until < needed && newest-l.until > uint64(l.size)
}

// newestObject returns the highest object number that the reader sees.
func (r *reader) newestObject() (uint64, error) {
	k, _, err := r.newestBefore(key.Identities(), math.MaxUint64)
	if err != nil || k == nil {
		return 0, err
	}
	return key.DecodeIdentity(k)
}

// makeListing lists the objects of a resource up to the newest object. It
// returns nil if there are too many.
func (r *reader) makeListing(ctx context.Context, resource uint16, newest uint64) (*listing, error) {
	objects := map[uint32][]uint64{}
	size := 0
	err := r.each(key.Heads(resource), func(item *badger.Item) error {
		if size++; size > r.s.listings.most {
			return errStop
		}
		return item.Value(func(v []byte) error {
			head, err := codec.DecodeHead(v)
			if err != nil {
				return err
			}
			id, err := r.identityOf(head.Object)
			objects[id.Namespace] = append(objects[id.Namespace], head.Object)
			return cmp.Or(err, r.s.checkOpen(ctx))
		})
	})
	if errors.Is(err, errStop) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.sortListing(ctx, objects, newest)
}

// extendListing returns a listing with the objects of the other one and those
// that were recorded after it.
func (r *reader) extendListing(
	ctx context.Context, resource uint16, before *listing, newest uint64,
) (*listing, error) {
	objects := map[uint32][]uint64{}
	for object := before.until + 1; object <= newest; object++ {
		id, found, err := r.findIdentity(object)
		if err := cmp.Or(err, r.s.checkOpen(ctx)); err != nil {
			return nil, err
		}
		if found && id.Resource == resource {
			objects[id.Namespace] = append(objects[id.Namespace], object)
		}
	}
	grown := map[uint32]bool{}
	for namespace := range objects {
		grown[namespace] = true
	}
	after := &listing{}
	for _, n := range before.namespaces {
		if !grown[n.number] {
			after.namespaces = append(after.namespaces, n)
			after.size += len(n.objects)
			continue
		}
		for _, object := range n.objects {
			if _, found, err := r.findIdentity(object); err != nil {
				return nil, err
			} else if found {
				objects[n.number] = append(objects[n.number], object)
			}
		}
	}
	added, err := r.sortListing(ctx, objects, newest)
	if err != nil {
		return nil, err
	}
	after.until, after.size = newest, after.size+added.size
	after.gone.Store(before.gone.Load())
	after.namespaces = append(after.namespaces, added.namespaces...)
	after.sort()
	return after, nil
}

// sort sorts the namespaces by name.
func (l *listing) sort() {
	slices.SortFunc(l.namespaces, func(a, b listedNamespace) int { return strings.Compare(a.name, b.name) })
}

// sortListing makes a listing of objects. It holds the names of one namespace
// at a time.
func (r *reader) sortListing(ctx context.Context, objects map[uint32][]uint64, newest uint64) (*listing, error) {
	type named struct {
		name   string
		uid    types.UID
		object uint64
	}
	l := &listing{until: newest}
	for number, list := range objects {
		names := make([]named, len(list))
		for i, object := range list {
			id, err := r.identityOf(object)
			if err := cmp.Or(err, r.s.checkOpen(ctx)); err != nil {
				return nil, err
			}
			names[i] = named{id.Name, id.UID, object}
		}
		slices.SortFunc(names, func(a, b named) int { return compareNames(a.name, a.uid, b.name, b.uid) })
		for i := range names {
			list[i] = names[i].object
		}
		of := listedNamespace{number: number, objects: slices.Clip(list)}
		if number != 0 {
			var err error
			if of.name, err = r.s.terms.text(r.txn, termNumber{key.Namespaces, number}); err != nil {
				return nil, err
			}
		}
		l.namespaces = append(l.namespaces, of)
		l.size += len(list)
	}
	l.sort()
	return l, nil
}

// compareNames orders the objects of a namespace as [history.ObjectRef.Compare]
// does.
func compareNames(name string, uid types.UID, otherName string, otherUID types.UID) int {
	return cmp.Or(strings.Compare(name, otherName), strings.Compare(string(uid), string(otherUID)))
}

// findIdentity is identityOf for objects that the log may not have any more. It
// reports whether it has the object.
func (r *reader) findIdentity(object uint64) (codec.Identity, bool, error) {
	id, err := r.identityOf(object)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return id, false, r.integrity.checkKey(key.Identity(object))
	}
	return id, err == nil, err
}

// eachListed calls f for the objects of a listing after a position, in order.
// It moves the position to the last object that it read. It reports whether it
// ended before the last one, because it read too many.
func (w *objectWalk) eachListed(
	of walkedResource, l *listing, after *history.ObjectRef, f func(*candidate) error,
) (early bool, err error) {
	later, err := w.later()
	if err != nil {
		return false, err
	}
	left, begun := l.size/listedShare, *after
	within := of.ObjectRef == history.ObjectRef{Group: begun.Group, Resource: begun.Resource}
	for _, n := range l.namespaces {
		if within && n.name < begun.Namespace || !w.listed(of.number, &n) {
			continue
		}
		objects := n.objects
		if within && n.name == begun.Namespace {
			if objects, err = w.listedAfter(objects, begun); err != nil {
				return false, err
			}
		}
		for _, object := range objects {
			if object >= later {
				continue
			}
			if left--; left < 0 {
				return true, nil
			}
			if err := w.readListed(l, object, after, f); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// listedAfter returns the objects of a namespace after a position.
func (w *objectWalk) listedAfter(objects []uint64, after history.ObjectRef) ([]uint64, error) {
	low, high := 0, len(objects)
	for low < high {
		middle := low + (high-low)/2
		at := middle // the first object from there that the log has
		id, found, err := codec.Identity{}, false, error(nil)
		for ; at < high && !found && err == nil; at++ {
			id, found, err = w.r.findIdentity(objects[at])
		}
		switch {
		case err != nil:
			return nil, err
		case found && compareNames(id.Name, id.UID, after.Name, after.UID) <= 0:
			low = at
		default:
			high = middle
		}
	}
	return objects[low:], nil
}

// readListed calls f for an object of a listing, unless its head or its place
// excludes it. It moves the position to the object.
func (w *objectWalk) readListed(l *listing, object uint64, at *history.ObjectRef, f func(*candidate) error) error {
	if err := w.r.s.checkOpen(w.ctx); err != nil {
		return err
	}
	id, found, err := w.r.findIdentity(object)
	if err != nil || !found {
		l.gone.Add(1)
		return err
	}
	v, found, err := w.findHead(&id)
	if err != nil || !found {
		l.gone.Add(1)
		return err
	}
	c, selected, err := w.candidate(v)
	if err != nil {
		return fmt.Errorf("object %d: %w", object, err)
	}
	if c.head.Object != object { // it was removed, and came back with another number
		l.gone.Add(1)
		return nil
	}
	if !selected {
		*at, err = w.r.ref(id)
		return err
	}
	*at = c.ref
	return f(&c)
}
