//go:build unix

package badgerdir

import (
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Allocated returns the bytes that a file occupies on disk. That is less than
// its length if the file has holes.
func Allocated(st fs.FileInfo) int64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Blocks * 512
	}
	return st.Size()
}

// MaxFiles returns how many files this process may have open and mapped at the
// same time. Badger opens and maps every table, so the lower of the two limits
// counts.
func MaxFiles() int64 {
	most := int64(math.MaxInt64)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		most = int64(min(uint64(files.Cur), math.MaxInt64)) //nolint:unconvert // the type differs between systems
	}
	b, err := os.ReadFile("/proc/sys/vm/max_map_count") // Linux only
	if n, perr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && perr == nil {
		most = min(most, n)
	}
	return most
}
