// Package container is the container of backups and exports: compressed frames between a magic and an end, each of which carries a checksum
// of all that stands before it.
//
// The invariant: what [Reader.Next] returns is what [Writer.Write] was given, in its order, and a stream that does not end with
// an end, or that goes on behind it, is an error. So frames can't be lost, exchanged or cut off without being noticed, though the
// checksum, XXH64, keeps out accidents and not forgers.
//
// It knows nothing of what the frames hold.
package container

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// MaxPayload is the length in bytes of the longest payload of a frame.
const MaxPayload = 4 << 20

// The lengths in bytes of what stands around a frame's data.
const (
	headSize = 1 + 4 // kind, length of the data
	sumSize  = 8
)

// end is the kind of the last frame, which has no payload.
const end = 0

var (
	// ErrForeign says that a stream does not begin with the magic.
	ErrForeign = errors.New("the magic is missing")
	// ErrTruncated says that a stream ends before its end.
	ErrTruncated = errors.New("it is cut off")
	// ErrCorrupt says that a stream is not what was written.
	ErrCorrupt = errors.New("a checksum does not match")
)

// codec is what both sides share: one goroutine's zstd, without windows that outlast a frame.
func newEncoder() (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return enc, nil
}

func newDecoder() (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxPayload))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return dec, nil
}

// maxData is the length in bytes of the longest data of a frame: what does not compress grows a little.
const maxData = MaxPayload + 1<<16

func putSum(b []byte, sum *xxhash.Digest) []byte {
	return binary.BigEndian.AppendUint64(b, sum.Sum64())
}
