// Package summary describes a recorded version in a few words: what changed
// since the previous version, and what is wrong with the object by its own
// status.
//
// It owns the [Comparison] of two versions. Bytes that are the same in both are
// never decoded, so comparing every recorded version is cheap. The attribution
// of changes to field managers uses it too ([Comparison.Wrote],
// [Comparison.Owned]).
//
// Invariant: a summary depends only on the record and the previous version. So
// it is the same whether it is computed when recording or by a query.
//
// It does no I/O, and it does not guess: if the previous version is missing,
// the summary reports that.
//
// It is internal to watchhistory: its API changes without notice.
package summary
