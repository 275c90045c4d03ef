// Package history is the domain of watchhistory: the objects that are watched, the records of their versions, and the
// filters, orders and cursors with which records are asked for.
//
// It owns the words and their invariants. It does no I/O, knows no technology, and imports no other package of this
// module; every other package imports it.
//
// The invariant that the rest of the program serves: a [Record] stands for exactly one version that the API server
// served, or says that it was inferred. Record times are unique and strictly increasing within one log, so that a time is
// a position, and a [Cursor] is a time.
package history
