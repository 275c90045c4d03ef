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
	snapshot    = iota + 1 // a zstd frame of the whole JSON
	patchDelta             // a patch of the base's JSON
	packedDelta            // a patch in a zstd frame
)

// MaxObject is the length of the largest object that can be stored, in bytes.
const MaxObject = 64 << 20

// Body is the parsed encoding of a version's JSON: a snapshot or a delta.
type Body struct {
	Base Base   // of a delta
	sum  uint64 // of the JSON; see Sum
	size int    // of the JSON in bytes
	kind byte
	data []byte // the frame or the patch
}

// Base identifies the version that a delta was made against, relative to the
// delta's version.
type Base struct {
	Object int64  // the version's object number minus the base's; 0 is the same object
	Ago    uint64 // how much older the base is, in nanoseconds
	Parts  uint16 // of the base's body
}

// Sum returns the checksum of a version's JSON: XXH64.
func Sum(json []byte) uint64 { return xxhash.Sum64(json) }

// ParseBody parses an encoded body. The result refers to b.
func ParseBody(b []byte) (Body, error) {
	r := binval.NewReader(b)
	body := Body{kind: r.Byte(), sum: r.Fixed64(), size: int(r.Uint(MaxObject))}
	switch body.kind {
	case snapshot:
	case patchDelta, packedDelta:
		body.Base = Base{Object: r.Varint(), Ago: r.Uvarint(), Parts: r.Uint16()}
	default:
		r.Fail("body of an unknown kind")
	}
	body.data = r.Rest()
	return body, r.Err()
}

// IsDelta reports whether the body can only be decoded with the JSON of its
// Base.
func (b *Body) IsDelta() bool { return b.kind != snapshot }

// Verify returns an error if json doesn't have the body's checksum.
func (b *Body) Verify(json []byte) error {
	if Sum(json) != b.sum {
		return binval.Corrupt("checksum of a body")
	}
	return nil
}

// Encode returns the body's bytes. The caller owns the result.
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

// Len returns the approximate length of the encoded body in bytes.
func (b *Body) Len() int { return len(b.data) }

// Bodies encodes and decodes versions' JSON. It is safe for concurrent use.
// Close releases its resources.
type Bodies struct {
	enc     *zstd.Encoder
	dec     *zstd.Decoder
	buffers sync.Pool // of *deltaBuffers
}

// NewBodies returns a codec for bodies. The capacity of the destination limits
// what a frame may decompress to. The caller must call [Bodies.Close].
func NewBodies() (*Bodies, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false),
		zstd.WithAllLitEntropyCompression(true))
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

// Snapshot encodes a JSON as a snapshot. sum is the JSON's checksum.
func (c *Bodies) Snapshot(json []byte, sum uint64) *Body {
	data := c.enc.EncodeAll(json, make([]byte, 0, 64+len(json)/3))
	return &Body{sum: sum, size: len(json), kind: snapshot, data: data}
}

// Decode appends a body's JSON to dst and returns the extended buffer. base is
// the JSON of a delta's Base.
//
// Decode checks the length of the JSON, but not the checksum; see
// [Body.Verify]. A right checksum also proves that base was right.
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
