package delta

import (
	"encoding/binary"
	"math/bits"
)

// word is how many bytes must match to begin a copy at the base position: the
// length of one load.
const word = 8

// nearDistance is how many bytes after a change are compared with the base
// position before the whole base is searched.
const nearDistance = 32

// minTail is the length of the shortest common suffix that is copied
// separately, in bytes.
const minTail = 4

// Overhead is by how many bytes a patch can be longer than its target.
const Overhead = 16

// Encoder makes patches. It reuses a table of at most 256 KiB. The zero Encoder
// is ready for use. It must be used by one goroutine at a time.
type Encoder struct{ index index }

// Append appends the patch that makes target from base, and returns the
// extended buffer. Base and target must not be longer than 2 GiB. dst must not
// overlap them.
func (e *Encoder) Append(dst, base, target []byte) []byte {
	w := writer{base: base, target: target, patch: dst, index: &e.index}
	w.copy(0, 0, prefix(base, target))
	tail := suffix(base[w.at:], target[w.done:])
	if tail < minTail {
		tail = 0
	}
	w.changes(len(target) - tail)
	if w.done < len(target) {
		w.copy(len(base)-tail, len(target)-tail, tail)
	}
	e.index.reset()
	return w.patch
}

// writer writes a patch from the target's beginning to its end.
type writer struct {
	base, target, patch []byte
	done                int // how many bytes of the target are written
	at                  int // base position
	index               *index
}

// changes writes the copies that it finds for the target up to end. The caller
// writes the rest.
func (w *writer) changes(end int) {
	for w.done < end {
		m := w.near(end)
		if m.length == 0 {
			m = w.far(end)
		}
		if m.length == 0 {
			return
		}
		w.copy(m.base, m.target, m.length)
	}
}

// match is a range of bytes that base and target have in common. base and
// target are its positions.
type match struct{ base, target, length int }

// near searches for the end of a change after which the target continues at the
// same distance from the base position.
func (w *writer) near(end int) match {
	limit := min(w.done+nearDistance, end-word, w.done+len(w.base)-w.at-word)
	for t := w.done; t <= limit; t++ {
		if b := w.at + t - w.done; load(w.base, b) == load(w.target, t) {
			return w.extend(b, t, end)
		}
	}
	return match{}
}

// far searches the whole base for the end of a change.
func (w *writer) far(end int) match {
	if w.done > end-window {
		return match{}
	}
	w.index.build(w.base)
	inPlace := w.done + len(w.base) - w.at - word
	for t := w.done; t <= end-window; t++ {
		if b, ok := w.index.find(w.target[t:]); ok {
			return w.extend(b, t, end)
		}
		if b := w.at + t - w.done; t <= inPlace && load(w.base, b) == load(w.target, t) {
			return w.extend(b, t, end)
		}
	}
	return match{}
}

// extend extends a match in both directions.
func (w *writer) extend(b, t, end int) match {
	back := suffix(w.base[:b], w.target[w.done:t])
	return match{b - back, t - back, back + prefix(w.base[b:], w.target[t:end])}
}

// copy writes a pair: it inserts the target up to t, and copies n bytes of the
// base from b.
func (w *writer) copy(b, t, n int) {
	if t == 0 && n == 0 {
		return
	}
	inserted := w.target[w.done:t]
	w.patch = append(binary.AppendUvarint(w.patch, uint64(len(inserted))), inserted...)
	w.done, w.at = t+n, w.at+len(inserted)
	if n == 0 && w.done == len(w.target) {
		return
	}
	if b == w.at {
		w.patch = binary.AppendUvarint(w.patch, uint64(n)<<1)
	} else {
		w.patch = binary.AppendVarint(binary.AppendUvarint(w.patch, uint64(n)<<1|1), int64(b-w.at))
	}
	w.at = b + n
}

func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// Common returns the length of the common prefix and the common suffix of a and
// b, which do not overlap.
func Common(a, b []byte) int {
	n := prefix(a, b)
	return n + suffix(a[n:], b[n:])
}

// prefix returns the length of the common prefix of a and b.
func prefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+word <= n; i += word {
		if x := load(a, i) ^ load(b, i); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// suffix returns the length of the common suffix of a and b.
func suffix(a, b []byte) int {
	n := min(len(a), len(b))
	a, b = a[len(a)-n:], b[len(b)-n:]
	i := n
	for ; i >= word; i -= word {
		if x := load(a, i-word) ^ load(b, i-word); x != 0 {
			return n - i + bits.LeadingZeros64(x)/8
		}
	}
	for i > 0 && a[i-1] == b[i-1] {
		i--
	}
	return n - i
}
