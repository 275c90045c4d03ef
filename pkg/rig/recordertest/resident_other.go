//go:build !linux

package recordertest

import (
	"runtime"
	"testing"
)

// Resident returns what the running process has resident, in bytes. How much of that are pages of its database is not known here.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	return int64(r.Metric(tb, "process_resident_memory_bytes")), 0
}

// Own returns what the runtime of the test's own process has of the system, in bytes.
func Own(string) (all, database int64, err error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys), 0, nil
}
