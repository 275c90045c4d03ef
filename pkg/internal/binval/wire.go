// Package binval writes and reads the values that the database and exports are made of: numbers, texts, times, and the parts of a
// version's metadata.
//
// The invariant: reading what was written gives an equal value, and reading anything else gives an error, never a panic and never
// more memory than the bytes at hand are worth.
//
// It knows no records, no keys and no files: what stands where is for those to say who use it.
package binval

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrCorrupt is wrapped by every error of reading: the bytes are not what was written.
var ErrCorrupt = errors.New("corrupt value")

// Corrupt returns an error that wraps [ErrCorrupt].
func Corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// AppendText appends a text: its length in bytes, and its bytes, which need not be UTF-8.
func AppendText[S ~string](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTime appends a time: 0 for the zero time, else 1, the seconds since 1970 and the nanoseconds.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// Reader takes values off bytes. The first error sticks and makes every later value zero; Done returns it.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a reader of the bytes, which it never changes.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail makes what was read corrupt.
func (r *Reader) Fail(what string) {
	if r.err == nil {
		r.err = Corrupt(what)
	}
	r.b = nil
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Done returns the first error. That bytes are left is one.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail("trailing bytes")
	}
	return r.err
}

// Rest returns the bytes that are left. They are those that the reader was given, not a copy.
func (r *Reader) Rest() []byte { return r.b }

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.b) == 0 {
		r.Fail("too short")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// Expect reads a byte that can only be c.
func (r *Reader) Expect(c byte, what string) {
	if r.Byte() != c {
		r.Fail(what)
	}
}

// Uvarint reads a number that is not negative.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Varint reads a number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Uint reads a number that is not larger than limit.
func (r *Reader) Uint(limit uint64) uint64 {
	v := r.Uvarint()
	if v > limit {
		r.Fail("number out of range")
		return 0
	}
	return v
}

// Uint16 reads a number of 16 bits at the most.
func (r *Reader) Uint16() uint16 { return uint16(r.Uint(math.MaxUint16)) }

// Uint32 reads a number of 32 bits at the most.
func (r *Reader) Uint32() uint32 { return uint32(r.Uint(math.MaxUint32)) }

// Fixed64 reads a number of 8 bytes.
func (r *Reader) Fixed64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Count reads how many things follow, each of which takes a byte at least.
func (r *Reader) Count() int { return int(r.Uint(uint64(len(r.b)))) }

// Bytes reads n bytes. They are those that the reader was given, not a copy.
func (r *Reader) Bytes(n int) []byte {
	if n > len(r.b) {
		r.Fail("too short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// Upto reads so many bytes; that there are not as many is an error.
func (r *Reader) Upto(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.Fail("cut off")
		return nil
	}
	return r.Bytes(int(n))
}

// Text reads a text.
func (r *Reader) Text() string { return string(r.Bytes(r.Count())) }

// Time reads a time, which is in UTC.
func (r *Reader) Time() time.Time {
	switch r.Byte() {
	case 0:
		return time.Time{}
	case 1:
		seconds := r.Varint()
		return time.Unix(seconds, int64(r.Uint(999_999_999))).UTC()
	default:
		r.Fail("bad time")
		return time.Time{}
	}
}
