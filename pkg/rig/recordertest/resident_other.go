//go:build !linux

package recordertest

import (
	"runtime"
	"testing"
)

// Resident returns the resident memory of the running process, in bytes. The
// share of its database is not available on this system, and is 0.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	return int64(r.Metric(tb, "process_resident_memory_bytes")), 0
}

// Own returns the memory that the Go runtime of the test process obtained from
// the system, in bytes.
func Own(string) (all, database int64, err error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys), 0, nil
}
