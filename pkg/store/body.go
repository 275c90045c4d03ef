package store

import (
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
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
