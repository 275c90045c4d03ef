package codec

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
)

// minPacked is the length of the shortest patch that is compressed, in bytes.
// The database compresses shorter ones better, together with their neighbors.
const minPacked = 1024

// maxBuffers bounds the buffers that are kept for the next delta, in bytes.
const maxBuffers = 256 << 10

// Delta encodes a JSON as a delta against base. It returns nil if the delta
// would take more than most bytes. sum is the JSON's checksum. The caller sets
// the Base of the result.
//
// Delta decodes what it encoded, and returns nil if the result isn't json.
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
	decoded, err := c.Decode(s.json[:0], b, base)
	if err != nil || !bytes.Equal(decoded, json) {
		return nil
	}
	s.json = decoded
	return b
}

// packed returns the body of a patch. The patch is compressed if that saves an
// eighth.
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
	case patchDelta:
		return delta.Apply(dst, base, b.data, b.size)
	default:
		return c.applyPacked(dst, b, base)
	}
}

// applyPacked decompresses a patch and applies it. The length of the patch
// precedes its frame.
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

// unpack appends the contents of a zstd frame, which are at most size bytes.
func (c *Bodies) unpack(dst, frame []byte, size int) ([]byte, error) {
	dst = slices.Grow(dst, size)
	return c.dec.DecodeAll(frame, dst[:len(dst):len(dst)+size])
}

// deltaBuffers are the buffers for one call of Delta or Decode.
type deltaBuffers struct {
	encoder     delta.Encoder
	patch, json []byte
}

// borrow returns buffers that no other call uses. The caller gives them back.
func (c *Bodies) borrow() *deltaBuffers {
	if s, ok := c.buffers.Get().(*deltaBuffers); ok {
		return s
	}
	return new(deltaBuffers)
}

// giveBack returns buffers to the pool, unless they have grown for a large
// object.
func (c *Bodies) giveBack(s *deltaBuffers) {
	if cap(s.patch)+cap(s.json) <= maxBuffers {
		c.buffers.Put(s)
	}
}
