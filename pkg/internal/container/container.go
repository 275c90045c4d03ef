// Package container reads and writes the file format of backups and exports: a
// magic, compressed frames, and an end. After each frame comes a checksum of
// all bytes before it.
//
// Invariant: [Reader.Next] returns what [Writer.Write] was given, in the same
// order. A stream that is truncated, that continues after its end, or whose
// frames were changed or exchanged is an error. The checksum (XXH64) detects
// accidents, not forgeries.
//
// The package does not interpret the payloads of frames.
package container

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// MaxPayload is the largest length of a frame's payload in bytes.
const MaxPayload = 4 << 20

// maxData is the largest length of a compressed payload in bytes. Data that
// does not compress grows slightly.
const maxData = MaxPayload + 1<<16

// The lengths in bytes of a frame's head and checksum.
const (
	headSize = 1 + 4 // the kind, and the length of the compressed payload
	sumSize  = 8
)

// end is the kind of the last frame, which has no payload.
const end = 0

var (
	// ErrForeign is the error of a stream that does not begin with the magic.
	ErrForeign = errors.New("the magic is missing")
	// ErrTruncated is the error of a stream without its end.
	ErrTruncated = errors.New("truncated")
	// ErrCorrupt is the error of a stream that differs from what was written.
	ErrCorrupt = errors.New("checksum mismatch")
)

// newEncoder returns an encoder for [zstd.Encoder.EncodeAll]. It starts no
// goroutines.
func newEncoder() (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return enc, nil
}

// newDecoder returns a decoder that rejects payloads longer than MaxPayload.
func newDecoder() (*zstd.Decoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxPayload))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return dec, nil
}

// appendSum appends the checksum of all bytes so far.
func appendSum(b []byte, sum *xxhash.Digest) []byte {
	return binary.BigEndian.AppendUint64(b, sum.Sum64())
}
