//go:build !linux

package recordertest

import "testing"

// Resident returns what the running process has resident, in bytes. How much of that are pages of its database is not known here.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	return int64(r.Metric(tb, "process_resident_memory_bytes")), 0
}
