package delta

import "math/bits"

// window is how many bytes have to agree for a copy to begin anywhere else than where the reading stands.
const window = 2 * word

// maxSlots bounds an index, to 256 KiB. Of a base that needs more, fewer windows are known.
const (
	maxBits  = 16
	maxSlots = 1 << maxBits
)

// minStride is how far the windows of a small base that are known stand apart, in bytes.
const minStride = 4

// index finds windows of a base by their contents.
type index struct {
	base  []byte   // nil: none yet
	slots []uint32 // where the window of that hash stands, and 1; 0: nowhere. Their number is a power of two
	shift int      // what is left of a hash then is a slot's number
}

// know prepares the index for a base, unless it is.
func (x *index) know(base []byte) {
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
	for i := (len(base) - window) / stride * stride; i >= 0; i -= stride {
		x.slots[x.slot(base[i:])] = uint32(i + 1)
	}
}

// forget lets go of the base.
func (x *index) forget() { x.base = nil }

// find returns where a window of the base stands that equals the first one of b.
func (x *index) find(b []byte) (at int, ok bool) {
	if x.base == nil {
		return 0, false
	}
	at = int(x.slots[x.slot(b)]) - 1
	return at, at >= 0 && load(x.base, at) == load(b, 0) && load(x.base, at+word) == load(b, word)
}

func (x *index) slot(b []byte) uint64 {
	const odd = 0x9e3779b97f4a7c15
	return (load(b, 0)*odd ^ load(b, word)) * odd >> x.shift
}
