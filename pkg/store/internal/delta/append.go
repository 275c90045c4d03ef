package delta

import (
	"encoding/binary"
	"math/bits"
)

// word is how many bytes have to agree for a copy to begin where the reading stands: the length of one load.
const word = 8

// patience is for how many bytes what follows a change is looked for in its old place only.
const patience = 32

// minTail is the length in bytes of the shortest common end that is looked at by itself.
const minTail = 4

// Overhead is by how many bytes a patch may be longer than its target.
const Overhead = 16

// Encoder makes patches, with a table that it keeps from one to the next: 256 KiB at the most. The zero Encoder is ready for use.
// It is for one goroutine.
type Encoder struct{ index index }

// Append appends the patch that makes target from base, and returns the extended buffer. Base and target are at most 2 GiB long,
// and dst must not overlap them.
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
	e.index.forget()
	return w.patch
}

// writer writes a patch from its target's beginning to its end.
type writer struct {
	base, target, patch []byte
	done                int // bytes of the target that are written
	at                  int // where in the base the reading stands
	index               *index
}

// changes writes the target up to end, as copies of what it finds in the base again. What is behind end is for the caller.
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

// match is a piece of the target that stands in the base, too.
type match struct{ base, target, length int }

// near looks for the end of a change that left everything behind it in its place.
func (w *writer) near(end int) match {
	limit := min(w.done+patience, end-word, w.done+len(w.base)-w.at-word)
	for t := w.done; t <= limit; t++ {
		if b := w.at + t - w.done; load(w.base, b) == load(w.target, t) {
			return w.widened(b, t, end)
		}
	}
	return match{}
}

// far looks for the end of a change all over the base.
func (w *writer) far(end int) match {
	if w.done > end-window {
		return match{}
	}
	w.index.know(w.base)
	inPlace := w.done + len(w.base) - w.at - word
	for t := w.done; t <= end-window; t++ {
		if b, ok := w.index.find(w.target[t:]); ok {
			return w.widened(b, t, end)
		}
		if b := w.at + t - w.done; t <= inPlace && load(w.base, b) == load(w.target, t) {
			return w.widened(b, t, end)
		}
	}
	return match{}
}

// widened makes as much of a match as there is.
func (w *writer) widened(b, t, end int) match {
	back := suffix(w.base[:b], w.target[w.done:t])
	return match{b - back, t - back, back + prefix(w.base[b:], w.target[t:end])}
}

// copy inserts the target up to t, and copies n bytes behind that from b on.
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

// Common returns how many bytes a and b have in common at their beginning and at their end.
func Common(a, b []byte) int {
	n := prefix(a, b)
	return n + suffix(a[n:], b[n:])
}

// prefix returns how many bytes a and b have in common at their beginning.
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

// suffix returns how many bytes a and b have in common at their end.
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
