package codec

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// The kinds of bodies, which are their first bytes.
const (
	snapshot = 1 // stands alone: a zstd frame of the whole JSON
	delta    = 2 // an S2 block whose dictionary is the JSON of an earlier version
)

// MaxObject is the length in bytes of the largest object that can be kept.
const MaxObject = 64 << 20

// Bodies encodes and decodes versions' JSON. It is safe for concurrent use; Close releases it.
type Bodies struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewBodies returns a codec for bodies.
func NewBodies() (*Bodies, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
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

// Sum is the checksum that goes with the JSON of a version: XXH64.
func Sum(json []byte) uint64 { return xxhash.Sum64(json) }

// Encode returns the kind byte, the checksum of the JSON, its length, and the JSON compressed.
func (c *Bodies) Encode(json []byte) []byte {
	b := make([]byte, 0, 16+len(json)/2)
	b = binary.BigEndian.AppendUint64(append(b, snapshot), Sum(json))
	return c.enc.EncodeAll(json, binary.AppendUvarint(b, uint64(len(json))))
}

// Decode is the inverse of [Bodies.Encode]. What does not have the checksum that was written is an error.
func (c *Bodies) Decode(b []byte) ([]byte, error) {
	r := &reader{b: b}
	r.expect(snapshot, "body of an unknown kind")
	sum, size := r.sum(), r.uint(MaxObject)
	if r.err != nil {
		return nil, r.err
	}
	json, err := c.dec.DecodeAll(r.b, make([]byte, 0, size))
	return checked(json, err, size, sum)
}

func (r *reader) sum() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func checked(json []byte, err error, size, sum uint64) ([]byte, error) {
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case uint64(len(json)) != size || Sum(json) != sum:
		return nil, corrupt("checksum of a body")
	default:
		return json, nil
	}
}
