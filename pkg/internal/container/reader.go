package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// Reader reads what a [Writer] wrote. It is not safe for concurrent use.
type Reader struct {
	r       io.Reader
	dec     *zstd.Decoder
	sum     *xxhash.Digest // of all bytes so far
	data    []byte         // the compressed payload, reused
	payload []byte         // of the current frame, reused
	err     error          // returned by all later calls of Next
}

// NewReader reads the magic. It returns [ErrForeign] if the stream begins with
// other bytes. The caller must call [Reader.Close].
func NewReader(r io.Reader, magic string) (*Reader, error) {
	f := &Reader{r: r, sum: xxhash.New()}
	got := make([]byte, len(magic))
	if err := f.fill(got); err != nil && !errors.Is(err, ErrTruncated) {
		return nil, err
	}
	if string(got) != magic {
		return nil, ErrForeign
	}
	var err error
	f.dec, err = newDecoder()
	return f, err
}

// Close releases the reader. It does not close the underlying reader.
func (r *Reader) Close() { r.dec.Close() }

// Next returns the kind and the payload of the next frame. The payload is valid
// until the next call. At the end of the stream the error is [io.EOF]. Any
// other error means that the stream is damaged or can't be read. After an error
// all calls return the same error.
func (r *Reader) Next() (kind byte, payload []byte, err error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	kind, payload, r.err = r.next()
	if r.err == nil && kind == end {
		r.err = r.checkEOF()
	}
	return kind, payload, r.err
}

// next is Next without the check of what follows the end. The checksum is
// verified before the payload is decompressed.
func (r *Reader) next() (byte, []byte, error) {
	var head [headSize]byte
	if err := r.fill(head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxData {
		return 0, nil, ErrCorrupt
	}
	if err := r.read(int(n)); err != nil {
		return 0, nil, err
	}
	want := appendSum(nil, r.sum)
	var sum [sumSize]byte
	if err := r.fill(sum[:]); err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(sum[:], want) {
		return 0, nil, ErrCorrupt
	}
	var err error
	if r.payload, err = r.dec.DecodeAll(r.data, r.payload[:0]); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return head[0], r.payload, nil
}

// read reads n bytes of compressed data. It allocates memory in steps, so that
// a corrupt length does not allocate more than the stream contains.
func (r *Reader) read(n int) error {
	const step = 64 << 10
	for r.data = r.data[:0]; len(r.data) < n; {
		m := len(r.data)
		r.data = append(r.data, make([]byte, min(step, n-m))...)
		if err := r.fill(r.data[m:]); err != nil {
			return err
		}
	}
	return nil
}

// checkEOF returns [io.EOF] if the stream does not continue after its end.
func (r *Reader) checkEOF() error {
	switch n, err := io.ReadFull(r.r, make([]byte, 1)); {
	case n > 0:
		return fmt.Errorf("%w: data after the end", ErrCorrupt)
	default:
		return err
	}
}

// fill reads len(b) bytes and adds them to the checksum.
func (r *Reader) fill(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	if err != nil {
		return err
	}
	_, _ = r.sum.Write(b)
	return nil
}
