// Package binval appends and reads the binary values of databases and exports:
// numbers, texts, times, and the attributes of a version.
//
// Invariant: reading an appended value returns an equal value. Reading anything
// else is an error that wraps [ErrCorrupt]. A [Reader] never panics, and never
// allocates more memory than is proportional to its bytes.
//
// The package handles neither keys nor files. The order of values is up to its
// users.
package binval

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrCorrupt is wrapped by every reading error: the bytes are not an appended
// value.
var ErrCorrupt = errors.New("corrupt value")

// Corrupt returns an error that wraps [ErrCorrupt].
func Corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

// AppendText appends a text: its length in bytes, and its bytes. They need not
// be UTF-8.
func AppendText[S ~string](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTime appends a time: 0 for the zero time, otherwise 1, the seconds
// since 1970 and the nanoseconds.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// Reader reads values from bytes. After the first error, it returns zero
// values. Done returns that error. It must be used by one goroutine at a time.
type Reader struct {
	b   []byte
	err error
}

// NewReader returns a reader of b. It doesn't change b.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Fail sets the reader's error, unless it has one.
func (r *Reader) Fail(what string) {
	if r.err == nil {
		r.err = Corrupt(what)
	}
	r.b = nil
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Done returns the first error. It is an error if bytes are left.
func (r *Reader) Done() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail("trailing bytes")
	}
	return r.err
}

// Rest returns the bytes that are left, without copying them.
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

// Expect reads a byte. If it isn't c, Expect fails with what.
func (r *Reader) Expect(c byte, what string) {
	if r.Byte() != c {
		r.Fail(what)
	}
}

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.Fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.Fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Uint reads an unsigned number that is at most limit.
func (r *Reader) Uint(limit uint64) uint64 {
	v := r.Uvarint()
	if v > limit {
		r.Fail("number out of range")
		return 0
	}
	return v
}

// Uint16 reads an unsigned number of at most 16 bits.
func (r *Reader) Uint16() uint16 { return uint16(r.Uint(math.MaxUint16)) }

// Uint32 reads an unsigned number of at most 32 bits.
func (r *Reader) Uint32() uint32 { return uint32(r.Uint(math.MaxUint32)) }

// Fixed64 reads a big-endian number of 8 bytes.
func (r *Reader) Fixed64() uint64 {
	if b := r.Bytes(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Count reads the number of values that follow. Each of them takes at least a
// byte.
func (r *Reader) Count() int { return int(r.Uint(uint64(len(r.b)))) }

// Bytes returns the next n bytes, without copying them.
func (r *Reader) Bytes(n int) []byte {
	if n > len(r.b) {
		r.Fail("too short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// BytesN is Bytes for a length that was read, which may exceed an int.
func (r *Reader) BytesN(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.Fail("cut off")
		return nil
	}
	return r.Bytes(int(n))
}

// Text reads a text. It copies the bytes.
func (r *Reader) Text() string { return string(r.Bytes(r.Count())) }

// Time reads a time. It is in UTC.
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
