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

// maxChain is the largest number of deltas between a version and its snapshot.
// It bounds the cost of reading a version. Half of it takes 5 % more space,
// twice as much saves 2.5 %.
const maxChain = 15

// body is a record's JSON, encoded before the record commits. Only the
// committer can decide whether the delta may be used.
type body struct {
	sum    uint64       // checksum of the JSON
	delta  *codec.Body  // against the version's Before; nil: not made
	before uint64       // checksum of Before, if delta is set
	first  *codec.Body  // independent of Before; nil: not made yet
	ref    *refSnapshot // base of first; nil: first is a snapshot
}

// recordsPerGoroutine is the number of records for which encodeAll starts
// another goroutine.
const recordsPerGoroutine = 16

// encodeAll encodes the records' JSON, concurrently if there are many.
func (s *Store) encodeAll(records []history.NewVersion) []body {
	bodies := make([]body, len(records))
	parallel(len(records), len(records)/recordsPerGoroutine, func(i int) { bodies[i] = s.encode(records[i]) })
	return bodies
}

// encode encodes a version's JSON as a delta against Before or, if that isn't
// worthwhile, like an object's first version.
func (s *Store) encode(r history.NewVersion) body {
	if len(r.Object) == 0 {
		return body{}
	}
	b := body{sum: codec.Sum(r.Object)}
	if b.delta = s.bodies.Delta(r.Before, r.Object, b.sum, len(r.Object)/2); b.delta != nil {
		b.before = codec.Sum(r.Before)
		return b
	}
	b.first, b.ref = s.encodeFirst(r.Record, b.sum)
	return b
}

// encodeFirst encodes an object's first version: as a delta against a reference
// snapshot, or as a snapshot.
//
// A delta smaller than 1/8 of the JSON is used at once. Otherwise it must be
// smaller than 3/5 of the snapshot, because a snapshot also serves as a
// reference snapshot.
func (s *Store) encodeFirst(r *history.Record, sum uint64) (*codec.Body, *refSnapshot) {
	ref := s.refSnapshots.bestMatch(r.Ref.GroupResource(), r.Object)
	if ref == nil {
		return s.bodies.Snapshot(r.Object, sum), nil
	}
	d := s.bodies.Delta(ref.json, r.Object, sum, len(r.Object)/2)
	if d == nil || d.Len() > len(r.Object)/8 {
		if snapshot := s.bodies.Snapshot(r.Object, sum); d == nil || 5*d.Len() > 3*snapshot.Len() {
			return snapshot, nil
		}
	}
	s.refSnapshots.touch(r.Ref.GroupResource(), ref)
	return d, ref
}

// encodeBody returns the bytes of a version's body, and the number of deltas
// between it and its snapshot.
//
// A delta's base is a version of the same day, so that it isn't dropped
// earlier. And it was written by the same process, because another process may
// have had a shorter retention, so that the base would expire earlier.
func (w *batchTx) encodeBody(r *history.Record, b body, last *codec.Last, v versionID) (encoded []byte, chain uint8) {
	if len(r.Object) == 0 {
		return nil, 0
	}
	if b.delta != nil && w.fitsHead(b, last, v) {
		b.delta.Base = codec.Base{Ago: v.ts - last.TS, Parts: last.Parts}
		return b.delta.Encode(), last.Chain + 1
	}
	if b.first == nil {
		b.first, b.ref = w.s.encodeFirst(r, b.sum)
	}
	switch {
	case b.ref == nil:
		return b.first.Encode(), 0
	case key.Day(b.ref.ts) != key.Day(v.ts): // a new day has begun
		return w.s.bodies.Snapshot(r.Object, b.sum).Encode(), 0
	default:
		b.first.Base = codec.Base{Object: int64(v.object - b.ref.object), Ago: v.ts - b.ref.ts, Parts: b.ref.parts}
		return b.first.Encode(), 1
	}
}

// fitsHead reports whether a body's delta may be used for v. The delta's base
// must be the object's newest version, and that may be a base of v.
func (w *batchTx) fitsHead(b body, last *codec.Last, v versionID) bool {
	return last.Sum == b.before && last.Parts > 0 && last.Chain < maxChain &&
		last.TS >= w.s.sessionStart && key.Day(last.TS) == key.Day(v.ts)
}

const (
	// maxRefSnapshots is the number of reference snapshots of a resource. The
	// Events of a cluster have about as many shapes.
	maxRefSnapshots = 4
	// maxRefUses is how often a reference snapshot is used before another
	// snapshot is stored. It limits how many objects depend on a snapshot that
	// gets damaged.
	maxRefUses = 256
	// maxRefJSON and maxRefTotal bound the JSON of one reference snapshot, and
	// of all of them, in bytes.
	maxRefJSON  = 64 << 10
	maxRefTotal = 4 << 20
)

// refSnapshot is a committed snapshot of this process. Objects of one resource
// resemble each other, so first versions of other objects become deltas against
// it, until the end of its day.
type refSnapshot struct {
	versionID

	parts uint16
	json  []byte // read-only
	uses  int    // guarded by refSnapshots.mu
}

// refSnapshots holds each resource's reference snapshots. It is safe for
// concurrent use.
type refSnapshots struct {
	mu   sync.Mutex
	of   map[schema.GroupResource][]*refSnapshot // most recently used first
	size int                                     // of all JSON in bytes
}

func newRefSnapshots() *refSnapshots {
	return &refSnapshots{of: map[schema.GroupResource][]*refSnapshot{}}
}

// bestMatch returns the reference snapshot with the longest common prefix and
// suffix, and counts its use. It returns nil if there is none. It also returns
// nil at every maxRefUses-th use of a snapshot, so that a new one is stored.
func (x *refSnapshots) bestMatch(of schema.GroupResource, json []byte) *refSnapshot {
	x.mu.Lock()
	defer x.mu.Unlock()
	list, best, longest := x.of[of], 0, -1
	for i, e := range list {
		if n := delta.Common(e.json, json); n > longest {
			best, longest = i, n
		}
	}
	if len(list) == 0 {
		return nil
	}
	ref := list[best]
	if ref.uses++; ref.uses%maxRefUses == 0 {
		return nil
	}
	return ref
}

// touch makes a reference snapshot the most recently used one of its resource.
func (x *refSnapshots) touch(of schema.GroupResource, ref *refSnapshot) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := x.of[of]
	if i := slices.Index(list, ref); i > 0 {
		copy(list[1:], list[:i])
		list[0] = ref
	}
}

// add adds a reference snapshot with a copy of the record's JSON, unless the
// JSON is too long. It evicts the resource's least recently used one, and those
// of other days. If all snapshots together are too large, it evicts all of
// them.
func (x *refSnapshots) add(r *history.Record, ref refSnapshot) {
	if len(r.Object) > maxRefJSON {
		return
	}
	ref.json = bytes.Clone(r.Object)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.size > maxRefTotal {
		clear(x.of)
		x.size = 0
	}
	of := r.Ref.GroupResource()
	kept := []*refSnapshot{&ref}
	x.size += len(ref.json)
	for _, old := range x.of[of] {
		if len(kept) < maxRefSnapshots && key.Day(old.ts) == key.Day(ref.ts) {
			kept = append(kept, old)
		} else {
			x.size -= len(old.json)
		}
	}
	x.of[of] = kept
}
