package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Limits of listings.
const (
	// minListed is the number of objects from which a resource is listed.
	minListed = 512
	// maxListed bounds the objects of all listings, about 6 MB.
	maxListed = 1 << 19
	// listedShare bounds the objects that are read by a listing for one page: a
	// fraction of the resource's objects. Reading all heads in the order of
	// their keys then costs less for each of them.
	listedShare = 8
	// maxNamed bounds the objects whose names are in memory while a listing is
	// made, about 8 MB. A larger namespace exceeds it.
	maxNamed = 1 << 16
	// insertShare is the fraction of a namespace's objects up to which new ones
	// are inserted. For more of them, the names of all are read.
	insertShare = 16
	// maxRevived bounds the objects that are known to have come back.
	maxRevived = 4096
)

// listings have the objects of large resources in the order of
// [history.ObjectRef.Compare]. Heads have no order, so each page of a state
// would read all of them. A listing is made for the second page that needs it.
//
// It is safe for concurrent use. No goroutine waits while another one makes a
// listing: it reads without one.
type listings struct {
	least int // objects from which a resource is listed
	most  int // objects of all listings

	mu      sync.Mutex
	of      map[uint16]*listing // by resource; nil: one is worth its cost
	making  map[uint16]bool     // resources whose listing is being made
	revived map[uint64]bool     // objects that were deleted and came back
	counts  map[uint16]int      // objects by resource, when they were read last
}

// listing has the numbers of a resource's objects. It never changes, except for
// what is learned about the objects. It may contain objects that the log does
// not have any more.
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
	// ended are the times of the objects' deletions as [endOf] returns them. An
	// object that is in listings.revived may have come back since then.
	ended []atomic.Uint32
}

func newListings() *listings {
	return &listings{
		least: minListed, most: maxListed, of: map[uint16]*listing{}, making: map[uint16]bool{},
		revived: map[uint64]bool{}, counts: map[uint16]int{},
	}
}

// endOf returns the first full second that is not before an object's deletion,
// since 1970. It is 0 if the object is not deleted, or if that time is unknown.
func endOf(h *codec.Head) uint32 {
	if h.Alive || h.Last.TS == 0 {
		return 0
	}
	second := (h.Last.TS-1)/1e9 + 1
	if second > math.MaxUint32 {
		return 0
	}
	return uint32(second)
}

// count sets the number of a resource's objects. The next page of the resource
// makes a listing if that number is worth the cost.
func (l *listings) count(resource uint16, objects int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[resource] = objects
	if objects <= l.least || objects > l.most {
		return
	}
	if _, known := l.of[resource]; !known {
		l.of[resource] = nil
	}
}

// size returns the number of a resource's objects, as far as it is known.
func (l *listings) size(resource uint16) (n int, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, known = l.counts[resource]
	return n, known
}

// revive notes that a deleted object gets another version. The committer calls
// it before that version is visible.
func (l *listings) revive(object uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.revived) < maxRevived {
		l.revived[object] = true
	}
}

// cameBack returns a function that reports whether an object may have come
// back after its deletion.
func (l *listings) cameBack() func(object uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.revived) == 0 {
		return func(uint64) bool { return false }
	}
	unknown, revived := len(l.revived) >= maxRevived, maps.Clone(l.revived)
	return func(object uint64) bool { return unknown || revived[object] }
}

// present returns the listing of a resource, and whether one is worth its cost.
func (l *listings) present(resource uint16) (of *listing, worth bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of, worth = l.of[resource]
	return of, worth
}

// begin reports whether the caller may make the listing of a resource, because
// no other goroutine does. The caller must then call end.
func (l *listings) begin(resource uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.making[resource] {
		return false
	}
	l.making[resource] = true
	return true
}

// end allows others to make the listing of a resource again.
func (l *listings) end(resource uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.making, resource)
}

// put stores a listing, unless there is a newer one. It removes others if there
// are too many objects. nil means that the resource has too many.
func (l *listings) put(resource uint16, made *listing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if made == nil {
		delete(l.of, resource)
		return
	}
	if present := l.of[resource]; present != nil && present.until > made.until {
		return
	}
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
// reader sees with numbers below later. It returns nil if there is none, or if
// it is being made. continued means that making one is worth its cost, if the
// resource is large.
func (r *reader) listing(ctx context.Context, resource uint16, later uint64, continued bool) (*listing, error) {
	l := r.s.listings
	present, worth := l.present(resource)
	if !worth || present == nil && !continued {
		return nil, nil
	}
	newest, err := r.newestObject()
	if err != nil {
		return nil, err
	}
	needed, made := min(newest, later-1), (*listing)(nil)
	switch outdated := present == nil || present.isOutdated(newest, needed); {
	case !outdated && present.until >= needed:
		return present, nil
	case !outdated:
		made, err = r.extendListing(ctx, resource, present, newest)
	case !continued || !l.begin(resource):
		return nil, nil // reading the heads costs less
	default:
		defer l.end(resource)
		made, err = r.makeListing(ctx, resource, newest)
	}
	if err != nil {
		return nil, err
	}
	l.put(resource, made)
	return made, nil
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

// listedObject is an object while a listing is made.
type listedObject struct {
	number    uint64
	ended     uint32 // as [endOf] returns it
	namespace uint32
}

// makeListing lists the objects of a resource up to the newest object. It
// returns nil if there are too many.
func (r *reader) makeListing(ctx context.Context, resource uint16, newest uint64) (*listing, error) {
	var objects []listedObject
	l := &listing{until: newest}
	err := r.each(key.Heads(resource), func(item *badger.Item) error {
		if len(objects) >= r.s.listings.most {
			return errStop
		}
		return item.Value(func(v []byte) error {
			head, err := codec.DecodeHead(v)
			objects = append(objects, listedObject{number: head.Object, ended: endOf(&head)})
			return cmp.Or(err, r.s.checkOpen(ctx))
		})
	})
	if errors.Is(err, errStop) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return l, r.addToListing(ctx, l, objects)
}

// addToListing adds objects to a listing that has none in their namespaces. It
// sets the namespaces of the objects, and changes their order.
func (r *reader) addToListing(ctx context.Context, l *listing, objects []listedObject) error {
	batches := [][]listedObject{objects}
	if len(objects) > maxNamed {
		sortByNumber(objects)
		err := r.eachIdentity(ctx, objects, func(i int, id *codec.Identity) { objects[i].namespace = id.Namespace })
		if err != nil {
			return err
		}
		batches = byNamespace(objects)
	}
	for _, batch := range batches {
		if err := r.addBatch(ctx, l, batch); err != nil {
			return err
		}
	}
	slices.SortFunc(l.namespaces, func(a, b listedNamespace) int { return strings.Compare(a.name, b.name) })
	return nil
}

// sortByNumber sorts objects in the order of their identities.
func sortByNumber(objects []listedObject) {
	slices.SortFunc(objects, func(a, b listedObject) int { return cmp.Compare(a.number, b.number) })
}

// byNamespace sorts objects by namespace. It returns them in parts that have
// all objects of their namespaces, and at most maxNamed if there are several.
func byNamespace(objects []listedObject) (parts [][]listedObject) {
	slices.SortFunc(objects, func(a, b listedObject) int { return cmp.Compare(a.namespace, b.namespace) })
	begin, end := 0, 0
	for end < len(objects) {
		next := end
		for next < len(objects) && objects[next].namespace == objects[end].namespace {
			next++
		}
		if next-begin > maxNamed && end > begin {
			parts, begin = append(parts, objects[begin:end]), end
		}
		end = next
	}
	return append(parts, objects[begin:])
}

// addBatch adds all objects of some namespaces to a listing. It holds their
// names.
func (r *reader) addBatch(ctx context.Context, l *listing, objects []listedObject) error {
	type named struct {
		listedObject
		name string
		uid  types.UID
	}
	sortByNumber(objects)
	names := make([]named, len(objects))
	err := r.eachIdentity(ctx, objects, func(i int, id *codec.Identity) {
		names[i] = named{objects[i], id.Name, id.UID}
		names[i].namespace = id.Namespace
	})
	if err != nil {
		return err
	}
	slices.SortFunc(names, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), compareNames(a.name, a.uid, b.name, b.uid))
	})
	for len(names) > 0 {
		n := 0
		for n < len(names) && names[n].namespace == names[0].namespace {
			n++
		}
		of, err := r.newListedNamespace(names[0].namespace, n)
		if err != nil {
			return err
		}
		for i := range of.objects {
			of.objects[i] = names[i].number
			of.ended[i].Store(names[i].ended)
		}
		l.namespaces = append(l.namespaces, of)
		l.size += n
		names = names[n:]
	}
	return nil
}

// newListedNamespace returns a namespace with room for n objects.
func (r *reader) newListedNamespace(number uint32, n int) (listedNamespace, error) {
	of := listedNamespace{number: number, objects: make([]uint64, n), ended: make([]atomic.Uint32, n)}
	if number == 0 {
		return of, nil
	}
	var err error
	of.name, err = r.s.terms.text(r.txn, termNumber{key.Namespaces, number})
	return of, err
}

// eachIdentity calls f for the identities of objects that are sorted by number.
// Reading them in this order costs less than reading each by its key.
func (r *reader) eachIdentity(ctx context.Context, of []listedObject, f func(i int, id *codec.Identity)) error {
	if len(of) == 0 {
		return nil
	}
	i := 0
	err := r.walkIdentities(ctx, of[0].number, of[len(of)-1].number, func(object uint64, v []byte) (uint64, error) {
		if object == of[i].number {
			id, err := codec.DecodeIdentity(v)
			if err != nil {
				return 0, fmt.Errorf("identity of object %d: %w", object, err)
			}
			for ; i < len(of) && of[i].number == object; i++ {
				f(i, &id)
			}
		}
		if i == len(of) {
			return math.MaxUint64, nil
		}
		return max(of[i].number, object+1), nil
	})
	if err != nil || i == len(of) {
		return err
	}
	_, err = r.identityOf(of[i].number) // it is missing
	return cmp.Or(err, fmt.Errorf("identity of object %d: read in the wrong order", of[i].number))
}

// extendListing returns a listing with the objects of the other one and those
// that were recorded after it.
func (r *reader) extendListing(
	ctx context.Context, resource uint16, before *listing, newest uint64,
) (*listing, error) {
	added := map[uint32][]uint64{}
	err := r.walkIdentities(ctx, before.until+1, newest, func(object uint64, v []byte) (uint64, error) {
		id, err := codec.DecodeIdentity(v)
		if err == nil && id.Resource == resource {
			added[id.Namespace] = append(added[id.Namespace], object)
		}
		return object + 1, err
	})
	if err != nil {
		return nil, err
	}
	after := &listing{until: newest}
	after.gone.Store(before.gone.Load())
	var again []listedObject // of namespaces that are sorted again
	for i := range before.namespaces {
		n := &before.namespaces[i]
		objects := added[n.number]
		delete(added, n.number)
		grown, gone := *n, 0
		switch {
		case len(objects) == 0:
		case len(objects) <= len(n.objects)/insertShare:
			grown, err = r.insertListed(n, objects)
		default:
			again, gone, err = r.appendListed(again, n)
			again, grown.objects = appendNew(again, objects), nil
			after.gone.Add(-int64(gone))
		}
		if err := cmp.Or(err, r.s.checkOpen(ctx)); err != nil {
			return nil, err
		}
		if grown.objects != nil {
			after.namespaces = append(after.namespaces, grown)
			after.size += len(grown.objects)
		}
	}
	for _, objects := range added {
		again = appendNew(again, objects)
	}
	return after, r.addToListing(ctx, after, again)
}

// appendNew appends objects without the times of their deletions.
func appendNew(to []listedObject, objects []uint64) []listedObject {
	for _, object := range objects {
		to = append(to, listedObject{number: object})
	}
	return to
}

// appendListed appends the objects of a namespace that the log still has. It
// returns how many it does not have any more.
func (r *reader) appendListed(to []listedObject, n *listedNamespace) (_ []listedObject, gone int, err error) {
	for i, object := range n.objects {
		_, found, err := r.findIdentity(object)
		switch {
		case err != nil:
			return to, gone, err
		case found:
			to = append(to, listedObject{number: object, ended: n.ended[i].Load()})
		default:
			gone++
		}
	}
	return to, gone, nil
}

// insertListed returns a namespace with the objects of another one and new
// ones. It reads few of the names.
func (r *reader) insertListed(n *listedNamespace, objects []uint64) (listedNamespace, error) {
	type insertion struct {
		at     int // the index in n of the object after it
		name   string
		uid    types.UID
		object uint64
	}
	var all []insertion
	for _, object := range objects {
		id, found, err := r.findIdentity(object)
		if err != nil {
			return listedNamespace{}, err
		}
		if !found {
			continue
		}
		at, err := r.listedAfter(n, id.Name, id.UID)
		if err != nil {
			return listedNamespace{}, err
		}
		all = append(all, insertion{at, id.Name, id.UID, object})
	}
	slices.SortFunc(all, func(a, b insertion) int {
		return cmp.Or(cmp.Compare(a.at, b.at), compareNames(a.name, a.uid, b.name, b.uid))
	})
	of, err := r.newListedNamespace(n.number, len(n.objects)+len(all))
	if err != nil {
		return of, err
	}
	i, inserted := 0, 0
	for at := range of.objects {
		if inserted < len(all) && all[inserted].at == i {
			of.objects[at] = all[inserted].object
			inserted++
			continue
		}
		of.objects[at] = n.objects[i]
		of.ended[at].Store(n.ended[i].Load())
		i++
	}
	return of, nil
}

// listedAfter returns the index of a namespace's first object after a name and
// UID.
func (r *reader) listedAfter(n *listedNamespace, name string, uid types.UID) (int, error) {
	low, high := 0, len(n.objects)
	for low < high {
		middle := low + (high-low)/2
		at := middle // the first object from there that the log has
		id, found, err := codec.Identity{}, false, error(nil)
		for ; at < high && !found && err == nil; at++ {
			id, found, err = r.findIdentity(n.objects[at])
		}
		switch {
		case err != nil:
			return 0, err
		case found && compareNames(id.Name, id.UID, name, uid) <= 0:
			low = at
		default:
			high = middle
		}
	}
	return low, nil
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
