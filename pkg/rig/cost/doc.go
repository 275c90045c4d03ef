// Package cost measures what recording costs with a real API server: CPU time
// per version, compared with a recorder built on informers that gets the same
// load; the time from a write to its answer; and memory during churn, and while
// greedy and slow clients query.
//
// It owns the measurements, which are its benchmarks, and tests of memory with
// a long form. Benchmarks report times and never fail because of one:
// times depend on the machine.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package cost
