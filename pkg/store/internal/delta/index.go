package delta

import "math/bits"

// window is how many bytes must match to begin a copy anywhere else than at the
// base position.
const window = 2 * word

// maxSlots bounds an index to 256 KiB. A longer base has a larger stride.
const (
	maxBits  = 16
	maxSlots = 1 << maxBits
)

// minStride is the distance between the indexed windows of a small base, in
// bytes.
const minStride = 4

// index finds windows of a base by their contents.
type index struct {
	base  []byte   // nil: the index is not built
	slots []uint32 // position of a window + 1, by the window's hash; 0: none. The length is a power of two
	shift int      // how far a hash is shifted to the right to get its slot
}

// build indexes a base, unless the index is built.
func (x *index) build(base []byte) {
	if x.base != nil || len(base) < window {
		return
	}
	stride := max(minStride, len(base)/maxSlots+1)
	size := min(bits.Len(uint(len(base)/stride)), maxBits)
	if cap(x.slots) < 1<<size {
		x.slots = make([]uint32, 1<<size)
	}
	x.base, x.slots, x.shift = base, x.slots[:1<<size], 64-size
	clear(x.slots)
	// From the end, so that of the windows of one slot the first is found.
	for i := (len(base) - window) / stride * stride; i >= 0; i -= stride {
		x.slots[x.slot(base[i:])] = uint32(i + 1)
	}
}

// reset releases the base. It keeps the table.
func (x *index) reset() { x.base = nil }

// find returns the position of a window of the base that equals the first
// window of b.
func (x *index) find(b []byte) (at int, ok bool) {
	if x.base == nil {
		return 0, false
	}
	at = int(x.slots[x.slot(b)]) - 1
	return at, at >= 0 && load(x.base, at) == load(b, 0) && load(x.base, at+word) == load(b, word)
}

// slot returns the slot of the first window of b, by a multiplicative hash.
func (x *index) slot(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return (load(b, 0)*odd ^ load(b, word)) * odd >> x.shift
}
