package codec

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// The kinds of bodies, which are their first bytes.
const (
	snapshot    = iota + 1 // stands alone: a zstd frame of the whole JSON
	blockDelta             // an S2 block whose dictionary is the base's JSON: of logs that were written before there were the others
	patchDelta             // a patch of the base's JSON
	packedDelta            // the same, in a zstd frame
)

// MaxObject is the length in bytes of the largest object that can be kept.
const MaxObject = 64 << 20

// Body is what a version's JSON is encoded to, taken apart.
type Body struct {
	Base Base // of a delta
	sum  uint64
	size int // of the JSON, in bytes
	kind byte
	data []byte
}

// Base is where the version is that a delta was made against.
type Base struct {
	Object int64  // by how much the number of its object is lower: 0 is the same object
	Ago    uint64 // in nanoseconds
	Parts  uint16 // of its body
}

// Sum is the checksum that goes with the JSON of a version: XXH64.
func Sum(json []byte) uint64 { return xxhash.Sum64(json) }

// ParseBody takes an encoded body apart. The body refers to the bytes.
func ParseBody(b []byte) (Body, error) {
	r := binval.NewReader(b)
	body := Body{kind: r.Byte(), sum: r.Fixed64(), size: int(r.Uint(MaxObject))}
	switch body.kind {
	case snapshot:
	case patchDelta, packedDelta:
		body.Base.Object = r.Varint()
		fallthrough
	case blockDelta:
		body.Base.Ago, body.Base.Parts = r.Uvarint(), r.Uint16()
	default:
		r.Fail("body of an unknown kind")
	}
	body.data = r.Rest()
	return body, r.Err()
}

// IsDelta tells whether another version's JSON is needed to decode the body: that of its Base.
func (b *Body) IsDelta() bool { return b.kind != snapshot }

// Verify returns an error where json is not what was encoded, which it tells by the checksum.
func (b *Body) Verify(json []byte) error {
	if Sum(json) != b.sum {
		return binval.Corrupt("checksum of a body")
	}
	return nil
}

// Encode returns the body's bytes, which refer to nothing else.
func (b *Body) Encode() []byte {
	out := make([]byte, 0, 40+len(b.data))
	out = binary.BigEndian.AppendUint64(append(out, b.kind), b.sum)
	out = binary.AppendUvarint(out, uint64(b.size))
	if b.IsDelta() {
		out = binary.AppendUvarint(binary.AppendVarint(out, b.Base.Object), b.Base.Ago)
		out = binary.AppendUvarint(out, uint64(b.Base.Parts))
	}
	return append(out, b.data...)
}

// Len is about how many bytes the body takes.
func (b *Body) Len() int { return len(b.data) }

// Bodies encodes and decodes versions' JSON. It is safe for concurrent use; Close releases it.
type Bodies struct {
	enc       *zstd.Encoder
	dec       *zstd.Decoder
	scratches sync.Pool // of *scratch
}

// NewBodies returns a codec for bodies.
func NewBodies() (*Bodies, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxObject), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &Bodies{enc: enc, dec: dec}, nil
}

// Close releases the codec.
func (c *Bodies) Close() {
	_ = c.enc.Close()
	c.dec.Close()
}

// Snapshot returns the body of a JSON that stands alone. Its checksum is sum.
func (c *Bodies) Snapshot(json []byte, sum uint64) *Body {
	data := c.enc.EncodeAll(json, make([]byte, 0, 64+len(json)/3))
	return &Body{sum: sum, size: len(json), kind: snapshot, data: data}
}

// Decode appends a body's JSON to dst and returns the extended buffer. Of a delta, base is the JSON of its Base. It has the
// length that was encoded, and whether it has the checksum, Verify tells: where it has, the bases were right, too.
func (c *Bodies) Decode(dst []byte, b *Body, base []byte) ([]byte, error) {
	out, err := c.decode(dst, b, base)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case len(out) != len(dst)+b.size:
		return nil, binval.Corrupt("length of a body")
	default:
		return out, nil
	}
}
