//go:build unix

package store

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// mostFiles returns how many files this process may have open and mapped at a time.
func mostFiles() int64 {
	most := int64(math.MaxInt64)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		most = int64(min(uint64(files.Cur), math.MaxInt64)) //nolint:unconvert // other systems have other types
	}
	b, err := os.ReadFile("/proc/sys/vm/max_map_count") // of Linux
	if n, perr := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && perr == nil {
		most = min(most, n)
	}
	return most
}
