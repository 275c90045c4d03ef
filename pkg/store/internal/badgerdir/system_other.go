//go:build !unix

package badgerdir

import (
	"io/fs"
	"math"
)

// Allocated returns the length of a file: its holes are unknown.
func Allocated(st fs.FileInfo) int64 { return st.Size() }

// MaxFiles returns [math.MaxInt64]: the limit is unknown.
func MaxFiles() int64 { return math.MaxInt64 }
