package container

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// Writer writes a stream of frames. It is for one goroutine.
type Writer struct {
	w    io.Writer
	enc  *zstd.Encoder
	sum  *xxhash.Digest
	buf  []byte
	size int64
}

// NewWriter begins a stream with a magic. [Writer.Close] has to end it.
func NewWriter(w io.Writer, magic string) (*Writer, error) {
	enc, err := newEncoder()
	if err != nil {
		return nil, err
	}
	f := &Writer{w: w, enc: enc, sum: xxhash.New()}
	return f, f.emit([]byte(magic))
}

// Write appends a frame. The kind is the caller's and not 0; the payload has at most [MaxPayload] bytes.
func (w *Writer) Write(kind byte, payload []byte) error {
	if kind == end || len(payload) > MaxPayload {
		return fmt.Errorf("frame of kind %d with %d bytes can't be written", kind, len(payload))
	}
	return w.frame(kind, payload)
}

// Close writes the end. It does not close what it writes to.
func (w *Writer) Close() error {
	defer w.enc.Close()
	return w.frame(end, nil)
}

// Size returns the number of bytes that were written.
func (w *Writer) Size() int64 { return w.size }

func (w *Writer) frame(kind byte, payload []byte) error {
	b := append(w.buf[:0], kind, 0, 0, 0, 0)
	b = w.enc.EncodeAll(payload, b)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	w.buf = b
	if err := w.emit(b); err != nil {
		return err
	}
	sum := putSum(nil, w.sum)
	return w.emit(sum)
}

// emit writes bytes, which the checksums behind them cover.
func (w *Writer) emit(b []byte) error {
	_, _ = w.sum.Write(b)
	n, err := w.w.Write(b)
	w.size += int64(n)
	return err
}
