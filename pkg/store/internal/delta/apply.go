package delta

import (
	"encoding/binary"
	"errors"
	"slices"
)

// ErrCorrupt is the error of a patch that no [Encoder] made for this base and a
// target of this size.
var ErrCorrupt = errors.New("corrupt patch")

// Apply appends the target that a patch makes from base, and returns the
// extended buffer. size is the length of the target in bytes. Apply allocates
// no more than that. After an error, the contents of dst after its length are
// undefined. base and dst must not overlap.
func Apply(dst, base, patch []byte, size int) ([]byte, error) {
	dst = slices.Grow(dst, size)
	end := len(dst) + size
	for at := 0; len(dst) < end; {
		n, ok := uvarint(&patch)
		if !ok || n > uint64(len(patch)) || n > uint64(end-len(dst)) {
			return nil, ErrCorrupt
		}
		dst, patch, at = append(dst, patch[:n]...), patch[n:], at+int(n)
		if len(dst) == end {
			break
		}
		if n, ok = uvarint(&patch); !ok {
			return nil, ErrCorrupt
		}
		if n&1 != 0 {
			by, k := binary.Varint(patch)
			if k <= 0 || by < -int64(at) || by > int64(len(base)) {
				return nil, ErrCorrupt
			}
			at, patch = at+int(by), patch[k:]
		}
		if n >>= 1; at > len(base) || n > uint64(len(base)-at) || n > uint64(end-len(dst)) {
			return nil, ErrCorrupt
		}
		dst, at = append(dst, base[at:at+int(n)]...), at+int(n)
	}
	if len(patch) > 0 {
		return nil, ErrCorrupt
	}
	return dst, nil
}

// uvarint reads a number, and removes it from the patch.
func uvarint(patch *[]byte) (uint64, bool) {
	if b := *patch; len(b) > 0 && b[0] < 0x80 {
		*patch = b[1:]
		return uint64(b[0]), true
	}
	v, n := binary.Uvarint(*patch)
	if n <= 0 {
		return 0, false
	}
	*patch = (*patch)[n:]
	return v, true
}
