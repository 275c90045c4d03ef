// Package codec is the codec of the log's values: a version's metadata, its body, heads, identities and checkpoints.
//
// The invariant: decoding what encoding returned gives an equal value, and decoding anything else gives an error, never a
// panic and never more memory than a bound. Every encoding begins with a byte that says how it goes on, so that further
// ones can stand beside it.
//
// It knows no keys and no database. What is numbered by a dictionary stays a number here.
package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrCorrupt is wrapped by every error of decoding: the bytes are not what was written.
var ErrCorrupt = errors.New("corrupt value")

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }

func appendString[S ~string](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime writes 0 for the zero time, else 1, the seconds since 1970 and the nanoseconds.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1), t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// reader takes values off bytes. The first error sticks and makes every later value zero; done returns it.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = corrupt(what)
	}
	r.b = nil
}

func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("too short")
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) expect(c byte, what string) { //nolint:unparam // 1 is the first encoding of each, not the last
	if r.byte() != c {
		r.fail(what)
	}
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint(limit uint64) uint64 {
	v := r.uvarint()
	if v > limit {
		r.fail("number out of range")
		return 0
	}
	return v
}

// count reads how many things follow, each of which takes a byte at least.
func (r *reader) count() int { return int(r.uint(uint64(len(r.b)))) }

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail("too short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes(r.count())) }

func (r *reader) time() time.Time {
	switch r.byte() {
	case 0:
		return time.Time{}
	case 1:
		seconds := r.varint()
		return time.Unix(seconds, int64(r.uint(999_999_999))).UTC()
	default:
		r.fail("bad time")
		return time.Time{}
	}
}
