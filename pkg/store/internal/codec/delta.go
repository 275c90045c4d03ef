package codec

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

// MaxBase is the length in bytes of the longest JSON that a delta can be made against: what S2 takes as a dictionary.
const MaxBase = s2.MaxDictSize

// Base is where the version is that a delta was made against: of the same object, earlier.
type Base struct {
	Ago   uint64 // in nanoseconds
	Parts uint16 // of its body
}

// Delta is a version's JSON as its difference to an earlier one's.
type Delta struct {
	sum  uint64
	size int
	data []byte
}

// NewDelta returns the difference from before to json; nil where it can't be made, or would take more than half of the room
// that json takes. It has been decoded again, and came out as json.
func NewDelta(before, json []byte) *Delta {
	if len(before) < s2.MinDictSize || len(before) > MaxBase || len(json) == 0 || len(json) > MaxObject {
		return nil
	}
	dict := s2.MakeDict(before, nil)
	data := dict.Encode(nil, json)
	if len(data) > len(json)/2 {
		return nil
	}
	again, err := dict.Decode(nil, data)
	if err != nil || !bytes.Equal(again, json) {
		return nil
	}
	return &Delta{sum: Sum(json), size: len(json), data: data}
}

// Encode returns the kind byte, the checksum of the JSON, its length, where the base is, and the difference.
func (d *Delta) Encode(base Base) []byte {
	b := make([]byte, 0, 32+len(d.data))
	b = binary.BigEndian.AppendUint64(append(b, delta), d.sum)
	b = binary.AppendUvarint(b, uint64(d.size))
	b = binary.AppendUvarint(binary.AppendUvarint(b, base.Ago), uint64(base.Parts))
	return append(b, d.data...)
}

// IsDelta tells whether a body is a delta, and where its base is then.
func IsDelta(b []byte) (Base, bool, error) {
	if len(b) == 0 || b[0] != delta {
		return Base{}, false, nil
	}
	base, _, _, r := decodeDelta(b)
	return base, true, r.err
}

// Apply returns the JSON that a delta stands for, given that of its base. What does not have the checksum that was written is
// an error.
func Apply(b, before []byte) ([]byte, error) {
	_, sum, size, r := decodeDelta(b)
	if r.err != nil {
		return nil, r.err
	}
	if n, err := s2.DecodedLen(r.b); err != nil || uint64(n) != size || len(before) < s2.MinDictSize || len(before) > MaxBase {
		return nil, corrupt("length of a delta")
	}
	json, err := s2.MakeDict(before, nil).Decode(nil, r.b)
	return checked(json, err, size, sum)
}

// decodeDelta reads all but the difference, which is what the reader has left.
func decodeDelta(b []byte) (base Base, sum, size uint64, r *reader) {
	r = &reader{b: b}
	r.expect(delta, "body of an unknown kind")
	sum, size = r.sum(), r.uint(MaxObject)
	base.Ago, base.Parts = r.uvarint(), uint16(r.uint(1<<16-1))
	return base, sum, size, r
}
