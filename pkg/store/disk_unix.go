//go:build unix

package store

import (
	"io/fs"
	"syscall"
)

// allocated returns the bytes that a file takes on the disk, which are fewer than its length where it has holes.
func allocated(st fs.FileInfo) int64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Blocks * 512
	}
	return st.Size()
}
