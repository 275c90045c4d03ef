//go:build !linux && !darwin

package badgerdir

import "math"

// Free returns [math.MaxInt64]: the free space is unknown, and a commit fails
// when the volume is full.
func Free(string) (int64, error) { return math.MaxInt64, nil }
