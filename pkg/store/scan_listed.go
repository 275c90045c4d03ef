package store

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The number of a listing's objects that are read together. It begins with the
// limit of the page, continues with a small one, and doubles.
const (
	minListedRead = 16
	maxListedRead = 128
)

// listedWalk reads the objects of a listing for a walk.
type listedWalk struct {
	*objectWalk
	listing *listing
	later   uint64 // objects with this number or a higher one can be left out
	before  uint64 // objects that were deleted before it can be left out
	revived func(object uint64) bool
	after   *history.ObjectRef // the last object that was read

	reads []listedRead
	most  int // how many objects are read together now
	next  int // and after that
}

// listedRead is an object of a listing that is read next.
type listedRead struct {
	of    *listedNamespace
	index int
}

// newListedWalk returns a walk over a listing's objects after a position. It
// moves the position to the last object that it read. limit is the number of
// objects that are probably needed, or 0.
func (w *objectWalk) newListedWalk(l *listing, after *history.ObjectRef, limit int) (*listedWalk, error) {
	later, err := w.later()
	if err != nil {
		return nil, err
	}
	committed, err := w.r.committed()
	if err != nil {
		return nil, err
	}
	// The listing may know of deletions that the reader does not see.
	return &listedWalk{
		objectWalk: w, listing: l, later: later, before: min(w.before, committed.Last),
		revived: w.r.s.listings.cameBack(), after: after,
		most: min(max(limit, minListedRead), maxListedRead), next: minListedRead,
	}, nil
}

// needs reports whether an object has to be read: neither its number nor the
// time of its deletion excludes it.
func (w *listedWalk) needs(n *listedNamespace, i int) bool {
	object, ended := n.objects[i], uint64(n.ended[i].Load())
	if object >= w.later {
		return false
	}
	return ended == 0 || ended*uint64(time.Second) >= w.before || w.revived(object)
}

// few reports whether the objects in the walk's namespaces are so few that
// reading them costs less than reading all heads.
func (w *listedWalk) few(resource uint16) bool {
	left := w.listing.size / listedShare
	for i := range w.listing.namespaces {
		n := &w.listing.namespaces[i]
		if !w.listed(resource, n) {
			continue
		}
		for i := range n.objects {
			if !w.needs(n, i) {
				continue
			}
			if left--; left < 0 {
				return false
			}
		}
	}
	return true
}

// each calls f for the objects of a resource's listing after the position, in
// order. It reports whether it ended before the last one, because it read too
// many.
func (w *listedWalk) each(of walkedResource, f func(*candidate) error) (early bool, err error) {
	left, begun := w.listing.size/listedShare, *w.after
	within := of.ObjectRef == history.ObjectRef{Group: begun.Group, Resource: begun.Resource}
	for i := range w.listing.namespaces {
		n, first := &w.listing.namespaces[i], 0
		if within && n.name < begun.Namespace || !w.listed(of.number, n) {
			continue
		}
		if within && n.name == begun.Namespace {
			if first, err = w.r.listedAfter(n, begun.Name, begun.UID); err != nil {
				return false, err
			}
		}
		for i := first; i < len(n.objects); i++ {
			if !w.needs(n, i) {
				continue
			}
			if left--; left < 0 {
				return true, w.flush(f)
			}
			if w.reads = append(w.reads, listedRead{of: n, index: i}); len(w.reads) < w.most {
				continue
			}
			w.most, w.next = w.next, min(2*w.next, maxListedRead)
			if err := w.flush(f); err != nil {
				return false, err
			}
		}
	}
	return false, w.flush(f)
}

// flush calls f for the objects that are read next, unless their heads or their
// places exclude them.
func (w *listedWalk) flush(f func(*candidate) error) error {
	reads, objects := w.reads, make([]uint64, len(w.reads))
	w.reads = w.reads[:0]
	for i, r := range reads {
		objects[i] = r.of.objects[r.index]
	}
	read, err := w.readNumbered(objects)
	if err != nil {
		return err
	}
	for i := range read {
		if err := w.r.s.checkOpen(w.ctx); err != nil {
			return err
		}
		if err := w.use(&read[i], &reads[i], f); err != nil {
			return err
		}
	}
	return nil
}

// use calls f for an object that was read, unless its head or its place
// excludes it. It moves the position to the object.
func (w *listedWalk) use(n *numbered, at *listedRead, f func(*candidate) error) error {
	c, selected, err := n.candidate(w.objectWalk)
	if err != nil {
		return err
	}
	if n.head == nil {
		w.listing.gone.Add(1)
		return nil
	}
	if ended := endOf(&c.head); ended != 0 {
		at.of.ended[at.index].Store(ended)
	}
	if !selected {
		*w.after, err = w.r.ref(n.id)
		return err
	}
	*w.after = c.ref
	return f(&c)
}
