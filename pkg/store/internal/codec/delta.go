package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
)

// minPacked is the length in bytes of the shortest patch that is compressed. The database compresses shorter ones better
// together with those around them.
const minPacked = 1024

// maxScratch bounds the buffers that are kept for the next delta, in bytes.
const maxScratch = 256 << 10

// Delta returns the body of a JSON as its difference to base; nil where that would take more than most bytes. Its checksum is sum.
// It has been decoded again, and came out as json. Its Base is for the caller to set.
func (c *Bodies) Delta(base, json []byte, sum uint64, most int) *Body {
	if len(base) == 0 || len(base) > MaxObject {
		return nil
	}
	s := c.borrow()
	defer c.giveBack(s)
	s.patch = s.encoder.Append(s.patch[:0], base, json)
	b := c.packed(s.patch)
	b.sum, b.size = sum, len(json)
	if len(b.data) > most {
		return nil
	}
	again, err := c.Decode(s.json[:0], b, base)
	if err != nil || !bytes.Equal(again, json) {
		return nil
	}
	s.json = again
	return b
}

// packed returns a body of a patch: compressed where that saves an eighth.
func (c *Bodies) packed(patch []byte) *Body {
	if len(patch) >= minPacked {
		frame := c.enc.EncodeAll(patch, binary.AppendUvarint(nil, uint64(len(patch))))
		if len(frame) < len(patch)-len(patch)/8 {
			return &Body{kind: packedDelta, data: frame}
		}
	}
	return &Body{kind: patchDelta, data: bytes.Clone(patch)}
}

// decode is Decode without its checks.
func (c *Bodies) decode(dst []byte, b *Body, base []byte) ([]byte, error) {
	switch b.kind {
	case snapshot:
		return c.unpack(dst, b.data, b.size)
	case blockDelta:
		return decodeBlock(dst, b, base)
	case patchDelta:
		return delta.Apply(dst, base, b.data, b.size)
	default:
		return c.applyPacked(dst, b, base)
	}
}

func (c *Bodies) applyPacked(dst []byte, b *Body, base []byte) ([]byte, error) {
	r := binval.NewReader(b.data)
	n := int(r.Uint(uint64(b.size + delta.Overhead)))
	if r.Err() != nil {
		return nil, r.Err()
	}
	s := c.borrow()
	defer c.giveBack(s)
	var err error
	if s.patch, err = c.unpack(s.patch[:0], r.Rest(), n); err != nil {
		return nil, err
	}
	return delta.Apply(dst, base, s.patch, b.size)
}

// unpack appends what a zstd frame holds, which is size bytes at the most.
func (c *Bodies) unpack(dst, frame []byte, size int) ([]byte, error) {
	dst = slices.Grow(dst, size)
	return c.dec.DecodeAll(frame, dst[:len(dst):len(dst)+size])
}

var errLength = errors.New("length of a delta")

// decodeBlock decodes what nothing writes any more.
func decodeBlock(dst []byte, b *Body, base []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b.data)
	if err != nil || n != b.size || len(base) < s2.MinDictSize || len(base) > s2.MaxDictSize {
		return nil, errLength
	}
	json, err := s2.MakeDict(base, nil).Decode(nil, b.data)
	return append(dst, json...), err
}

// scratch is what making a delta, and applying a packed one, needs for a moment.
type scratch struct {
	encoder     delta.Encoder
	patch, json []byte
}

func (c *Bodies) borrow() *scratch {
	if s, ok := c.scratches.Get().(*scratch); ok {
		return s
	}
	return new(scratch)
}

// giveBack keeps the buffers for others, unless they have grown for a large object.
func (c *Bodies) giveBack(s *scratch) {
	if cap(s.patch)+cap(s.json) <= maxScratch {
		c.scratches.Put(s)
	}
}
