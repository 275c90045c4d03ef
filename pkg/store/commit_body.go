package store

import (
	"bytes"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxChain is how many deltas lead from a snapshot to a version: what reading it costs at the most. Half as many would take a
// twentieth more room, twice as many a fortieth less.
const maxChain = 15

// body is a record's JSON on its way into the log, encoded as what it can be. Whether it may, only the committer knows.
type body struct {
	sum    uint64
	delta  *codec.Body // against the record's Before; nil where there is none
	before uint64      // checksum of that
	first  *codec.Body // what does without the record's Before; nil where delta is not
	like   *exemplar   // what first is a delta against; nil where it is a snapshot
}

// shared is for how many records another goroutine is worth its start.
const shared = 16

// encodeAll encodes the records' JSON, by several goroutines where there is much.
func (s *Store) encodeAll(records []*history.Record) []body {
	bodies := make([]body, len(records))
	parallel(len(records), len(records)/shared, func(i int) { bodies[i] = s.encode(records[i]) })
	return bodies
}

// encode encodes a record's JSON, whose checksum it computes once.
func (s *Store) encode(r *history.Record) body {
	if len(r.Object) == 0 {
		return body{}
	}
	b := body{sum: codec.Sum(r.Object)}
	if b.delta = s.bodies.Delta(r.Before, r.Object, b.sum, len(r.Object)/2); b.delta != nil {
		b.before = codec.Sum(r.Before)
		return b
	}
	b.first, b.like = s.encodeFirst(r, b.sum)
	return b
}

// encodeFirst encodes a JSON as if it were an object's first: as a delta against an exemplar where that is clearly smaller than a
// snapshot, since otherwise the snapshot is worth more, as another exemplar. Below an eighth of the JSON it always is.
func (s *Store) encodeFirst(r *history.Record, sum uint64) (*codec.Body, *exemplar) {
	like := s.exemplars.like(r.Ref.GroupResource(), r.Object)
	if like == nil {
		return s.bodies.Snapshot(r.Object, sum), nil
	}
	d := s.bodies.Delta(like.json, r.Object, sum, len(r.Object)/2)
	if d == nil || d.Len() > len(r.Object)/8 {
		if whole := s.bodies.Snapshot(r.Object, sum); d == nil || 5*d.Len() > 3*whole.Len() {
			return whole, nil
		}
	}
	s.exemplars.used(r.Ref.GroupResource(), like)
	return d, like
}

// encoded returns what is to be written of the body of a version, and how many deltas lead to it. A delta's base is of the same
// day, so that it is dropped no earlier, and written by this process, since another one's retention may have been shorter.
func (w *writer) encoded(r *history.Record, b body, last *codec.Last, v version) (encoded []byte, chain uint8) {
	if len(r.Object) == 0 {
		return nil, 0
	}
	if b.delta != nil && w.follows(b, last, v) {
		b.delta.Base = codec.Base{Ago: v.ts - last.TS, Parts: last.Parts}
		return b.delta.Encode(), last.Chain + 1
	}
	if b.first == nil {
		b.first, b.like = w.s.encodeFirst(r, b.sum)
	}
	switch {
	case b.like == nil:
		return b.first.Encode(), 0
	case key.Day(b.like.ts) != key.Day(v.ts):
		return w.s.bodies.Snapshot(r.Object, b.sum).Encode(), 0
	default:
		b.first.Base = codec.Base{Object: int64(v.object - b.like.object), Ago: v.ts - b.like.ts, Parts: b.like.parts}
		return b.first.Encode(), 1
	}
}

// follows tells whether a body may be a delta against its object's last version.
func (w *writer) follows(b body, last *codec.Last, v version) bool {
	return last.Sum == b.before && last.Parts > 0 && last.Chain < maxChain &&
		last.TS >= w.s.opened && key.Day(last.TS) == key.Day(v.ts)
}

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
