// Package scale measures the store: its size on disk and write speed, compared
// with a naive layout, and its memory and query times with much history. It
// also measures what access control costs.
//
// It owns the measurements. Their short forms are tests; docs/storage.md
// describes the long forms. Tests fail because of sizes, memory and wrong
// answers, never because of times, which depend on the machine.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package scale
