// Package cost measures what recording costs on a real API server: CPU for each version, beside a recorder that is built on
// informers and runs in the same minutes; the time from a write to its answer; and memory under churn.
//
// It owns the measurements, which are its benchmarks, and one test of memory that has a long form. Times are reported and never
// judged: they depend on the machine.
package cost
