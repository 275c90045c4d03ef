package container

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// Writer writes a stream of frames. It is not safe for concurrent use.
type Writer struct {
	w    io.Writer
	enc  *zstd.Encoder
	sum  *xxhash.Digest // of all bytes so far
	buf  []byte         // the current frame, reused
	size int64          // bytes written
}

// NewWriter begins a stream with a magic. The caller ends it with
// [Writer.Close].
func NewWriter(w io.Writer, magic string) (*Writer, error) {
	enc, err := newEncoder()
	if err != nil {
		return nil, err
	}
	f := &Writer{w: w, enc: enc, sum: xxhash.New()}
	return f, f.emit([]byte(magic))
}

// Write appends a frame. The caller defines the kinds, except 0. The payload
// has at most [MaxPayload] bytes. After an error the stream is incomplete, and
// a [Reader] rejects it.
func (w *Writer) Write(kind byte, payload []byte) error {
	if kind == end || len(payload) > MaxPayload {
		return fmt.Errorf("write frame: invalid kind %d or length %d", kind, len(payload))
	}
	return w.frame(kind, payload)
}

// Close writes the end and releases the writer. It does not close the
// underlying writer.
func (w *Writer) Close() error {
	defer w.enc.Close()
	return w.frame(end, nil)
}

// Size returns the number of bytes written.
func (w *Writer) Size() int64 { return w.size }

// frame writes a compressed frame and the checksum.
func (w *Writer) frame(kind byte, payload []byte) error {
	b := append(w.buf[:0], kind, 0, 0, 0, 0)
	b = w.enc.EncodeAll(payload, b)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-headSize))
	w.buf = b
	if err := w.emit(b); err != nil {
		return err
	}
	sum := appendSum(nil, w.sum)
	return w.emit(sum)
}

// emit writes bytes and adds them to the checksum.
func (w *Writer) emit(b []byte) error {
	_, _ = w.sum.Write(b)
	n, err := w.w.Write(b)
	w.size += int64(n)
	return err
}
