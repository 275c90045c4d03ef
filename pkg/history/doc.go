// Package history is the domain of watchhistory: objects, the records of
// their versions, gaps, and the filters, orders and cursors that select
// records. Every other package of the module imports it.
//
// # Ownership
//
// The package owns the terms and their invariants:
//
//   - A [Record] is one version that the API server served, or a change that a
//     relist implied and that is marked as inferred.
//   - Record times are unique and strictly increasing within one log. A time
//     is therefore a position, and a [Cursor] is a time.
//   - [Filter.Matches] defines what a filter selects. Every index must agree
//     with it.
//   - A [NamespaceScope] is the only representation of "all namespaces",
//     "cluster-scoped objects" and "one namespace".
//   - An [Error] is the only error type with a code.
//
// # Limits
//
// The package does no I/O, and does not depend on a storage engine, HTTP or
// client-go. It uses apimachinery only for names and resourceVersions.
//
// Values are plain data. They may be read concurrently, but nothing in this
// package locks.
package history
