// Package diff compares two versions of a Kubernetes object, given as decoded
// JSON.
//
// It owns four things:
//
//   - The structural difference ([Objects]). Items of lists are matched by
//     their keys, and not by their positions.
//   - The classification of changes as noise ([Change.Noise]).
//   - The summary of changes in one line ([Summary]).
//   - The versions that last changed each value of an object ([Origins]).
//
// Invariant: a difference is complete. The old object and the changes determine
// the new object, including the order of lists. Noise is marked and never left
// out.
//
// The package has no schema and does no I/O. The returned changes share values
// with the arguments, so callers must not modify either.
//
// It is internal to watchhistory: its API changes without notice.
package diff
