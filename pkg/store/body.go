package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxChain is how many deltas lead from a snapshot to a version: what reading it costs at the most. Half as many would take a
// twentieth more room, twice as many a fortieth less.
const maxChain = 15

// maxChainRead is how many there were before there were exemplars.
const maxChainRead = 31

// maxDecoded bounds the bodies that a reader keeps as bases of others, in bytes.
const maxDecoded = 4 << 20

// body is a record's JSON on its way into the log, encoded as what it can be. Whether it may, only the committer knows.
type body struct {
	sum    uint64
	delta  *codec.Body // against the record's Before; nil where there is none
	before uint64      // checksum of that
	first  *codec.Body // what does without the record's Before; nil where delta is not
	like   *exemplar   // what first is a delta against; nil where it is a snapshot
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

// version is a version's place.
type version struct{ object, ts uint64 }

// decoded is a body and the JSON that it stands for.
type decoded struct {
	body codec.Body
	json []byte
}

// body reads a version's body and checks it. What it returns belongs to the caller.
func (r *reader) body(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	at := version{e.Object, e.TS}
	d, err := r.decoded(at, parts, maxChainRead)
	if err == nil {
		err = d.body.Verify(d.json)
	}
	if err != nil {
		return nil, fmt.Errorf("body of object %d at %d: %w", e.Object, e.TS, err)
	}
	return bytes.Clone(d.json), nil
}

// decoded decodes the body of a version that at most so many deltas lead to. Only its length is checked: where the checksum of what is
// returned in the end is right, so were its bases. Nobody may write to what it returns.
func (r *reader) decoded(at version, parts uint16, chain int) (decoded, error) {
	if d, ok := r.bodies[at]; ok {
		return d, nil
	}
	b, err := r.stored(at, parts)
	if err != nil {
		return decoded{}, err
	}
	d := decoded{}
	if d.body, err = codec.ParseBody(b); err != nil {
		return decoded{}, err
	}
	var base []byte
	if d.body.IsDelta() {
		if base, err = r.base(at, &d.body.Base, chain); err != nil {
			return decoded{}, err
		}
	}
	if d.json, err = r.s.bodies.Decode(nil, &d.body, base); err != nil {
		return decoded{}, err
	}
	r.keep(at, d)
	return d, nil
}

// base decodes the base of a version's delta.
func (r *reader) base(of version, base *codec.Base, chain int) ([]byte, error) {
	at := version{of.object - uint64(base.Object), of.ts - base.Ago}
	if chain == 0 || base.Ago == 0 || base.Ago > of.ts {
		return nil, fmt.Errorf("%w: a delta of too many", codec.ErrCorrupt)
	}
	d, err := r.decoded(at, base.Parts, chain-1)
	if err != nil {
		return nil, fmt.Errorf("base of object %d at %d: %w", at.object, at.ts, err)
	}
	return d.json, nil
}

// keep remembers a body for those that are deltas against it.
func (r *reader) keep(at version, d decoded) {
	if r.size += len(d.json); r.size > maxDecoded {
		clear(r.bodies)
		r.size = len(d.json)
	}
	r.bodies[at] = d
}

// stored reads the bytes of a body.
func (r *reader) stored(at version, parts uint16) (b []byte, err error) {
	e := key.Entry{Object: at.object, TS: at.ts}
	for e.Part = 0; e.Part < parts; e.Part++ {
		item, err := r.txn.Get(e.In(key.Body))
		if err == nil {
			err = item.Value(func(v []byte) error { b = append(b, v...); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
	if len(b) == 0 {
		return nil, errors.New("read the body: it has no parts")
	}
	return b, nil
}
