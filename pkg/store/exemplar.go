package store

import (
	"bytes"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

const (
	// maxExemplars is how many exemplars a resource has at a time: the Events of one cluster have about as many shapes.
	maxExemplars = 4
	// maxLikenesses is after how many uses of an exemplar another takes its place: a damaged one takes so many objects with it.
	maxLikenesses = 256
	// maxExemplar and maxExemplary bound the JSON of one exemplar, and of all of them, in bytes.
	maxExemplar  = 64 << 10
	maxExemplary = 4 << 20
)

// exemplar is a snapshot that this process committed. What it shows of an object is much the same in others of its resource, so
// that a version of those that has no version before at hand is written as a delta against it, on the same day.
type exemplar struct {
	version
	parts uint16
	json  []byte // nobody writes to it
	uses  int    // guarded by the mutex of exemplars
}

// exemplars are the snapshots that were of use last, by resource. It is safe for concurrent use.
type exemplars struct {
	mu   sync.Mutex                           // guards what follows
	of   map[schema.GroupResource][]*exemplar // the last used one first
	size int                                  // of their JSON, in bytes
}

func newExemplars() *exemplars { return &exemplars{of: map[schema.GroupResource][]*exemplar{}} }

// like returns the exemplar that a JSON shares most of its beginning and end with, where names stand and what kind of thing it is.
// It is nil where there is none, and where it is time for another one.
func (x *exemplars) like(of schema.GroupResource, json []byte) *exemplar {
	x.mu.Lock()
	defer x.mu.Unlock()
	list, best, most := x.of[of], 0, -1
	for i, e := range list {
		if n := delta.Common(e.json, json); n > most {
			best, most = i, n
		}
	}
	if len(list) == 0 {
		return nil
	}
	like := list[best]
	if like.uses++; like.uses%maxLikenesses == 0 {
		return nil
	}
	return like
}

// used puts an exemplar that was of use in front of the others.
func (x *exemplars) used(of schema.GroupResource, e *exemplar) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.of[of]
	if i := slices.Index(list, e); i > 0 {
		copy(list[1:], list[:i])
		list[0] = e
	}
}

// hold makes an exemplar of a record's snapshot. It takes the place of the one that was not used for longest, and of those of
// another day.
func (x *exemplars) hold(r *history.Record, e exemplar) {
	if len(r.Object) > maxExemplar {
		return
	}
	e.json = bytes.Clone(r.Object)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.size > maxExemplary {
		clear(x.of)
		x.size = 0
	}
	of := r.Ref.GroupResource()
	kept := []*exemplar{&e}
	x.size += len(e.json)
	for _, old := range x.of[of] {
		if len(kept) < maxExemplars && key.Day(old.ts) == key.Day(e.ts) {
			kept = append(kept, old)
		} else {
			x.size -= len(old.json)
		}
	}
	x.of[of] = kept
}
