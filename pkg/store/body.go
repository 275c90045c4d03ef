package store

import (
	"errors"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxChain is how many deltas may follow one another until the next snapshot: what reading a version costs at the most.
const maxChain = 31

// maxDecoded bounds the bodies that a reader keeps as bases of others, in bytes.
const maxDecoded = 4 << 20

// body is a record's JSON on its way into the log.
type body struct {
	sum    uint64
	whole  []byte       // nil where a delta is at hand
	delta  *codec.Delta // from the record's Before
	before uint64       // checksum of that
}

// encode encodes a record's JSON: as a delta where it can be one. Whether it may, only the committer knows.
func (s *Store) encode(r *history.Record) body {
	if len(r.Object) == 0 {
		return body{}
	}
	b := body{sum: codec.Sum(r.Object)}
	if len(r.Before) > 0 {
		if b.delta = codec.NewDelta(r.Before, r.Object); b.delta != nil {
			b.before = codec.Sum(r.Before)
			return b
		}
	}
	b.whole = s.bodies.Encode(r.Object)
	return b
}

// encoded returns what is to be written of a body, and how many deltas lead to it. A delta's base is the version before: written
// on the same day, so that it is dropped no earlier; by this process, since another one's retention may have been shorter; and
// what the delta was made against.
func (w *writer) encoded(r *history.Record, b body, last *codec.Last, ts uint64) (encoded []byte, chain uint8) {
	switch {
	case b.delta == nil && len(r.Object) == 0:
		return nil, 0
	case b.delta == nil:
		return b.whole, 0
	case last.TS < w.s.opened, last.Sum != b.before, last.Parts == 0, last.Chain >= maxChain, key.Day(last.TS) != key.Day(ts):
		return w.s.bodies.Encode(r.Object), 0
	default:
		return b.delta.Encode(codec.Base{Ago: ts - last.TS, Parts: last.Parts}), last.Chain + 1
	}
}

// version is a version's place.
type version struct{ object, ts uint64 }

// body reads a version's body and checks it. What it returns belongs to the caller.
func (r *reader) body(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	json, err := r.decoded(e, parts, maxChain)
	return append([]byte(nil), json...), err
}

// decoded is body for a version that at most so many deltas lead to. Nobody may write to what it returns.
func (r *reader) decoded(e key.Entry, parts uint16, chain int) ([]byte, error) {
	at := version{e.Object, e.TS}
	if json, ok := r.bodies[at]; ok {
		return json, nil
	}
	b, err := r.stored(e, parts)
	if err != nil {
		return nil, err
	}
	base, isDelta, err := codec.IsDelta(b)
	var json []byte
	switch {
	case err != nil:
		return nil, err
	case !isDelta:
		json, err = r.s.bodies.Decode(b)
	case chain == 0 || base.Ago == 0 || base.Ago > e.TS:
		return nil, fmt.Errorf("body of object %d at %d: %w: a delta of too many", e.Object, e.TS, codec.ErrCorrupt)
	default:
		json, err = r.applied(b, e, base, chain)
	}
	if err != nil {
		return nil, err
	}
	r.keep(at, json)
	return json, nil
}

func (r *reader) applied(b []byte, e key.Entry, base codec.Base, chain int) ([]byte, error) {
	of := e
	of.TS -= base.Ago
	before, err := r.decoded(of, base.Parts, chain-1)
	if err != nil {
		return nil, fmt.Errorf("base of the body at %d: %w", e.TS, err)
	}
	return codec.Apply(b, before)
}

// keep remembers a body for those that are deltas against it.
func (r *reader) keep(at version, json []byte) {
	if r.size += len(json); r.size > maxDecoded {
		clear(r.bodies)
		r.size = len(json)
	}
	r.bodies[at] = json
}

// stored reads the bytes of a body.
func (r *reader) stored(e key.Entry, parts uint16) (b []byte, err error) {
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
