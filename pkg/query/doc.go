// Package query answers questions about the log: timelines, the history of one
// object, the Kubernetes Events regarding it and its descendants, states and
// their differences, the relations between objects, and gaps.
//
// # Ownership
//
// The package decides how a question becomes scans of the log, and how records
// become versions with a summary and the object's problem.
//
// # Invariants
//
//   - Filters and selectors are applied before a page is cut: a page without
//     More omits no match. A page that reached a bound has More, even if it is
//     empty.
//   - Selectors see what the caller sees, and nothing else.
//   - Every answer is bounded, in records and in bytes, and so is the effort of
//     counting. An answer whose total reached a bound is not Exact.
//   - The memory of an answer is bounded if its Each receives the versions: the
//     log is read in short scans, and none runs while Each is called.
//   - The catalogue is read once per question.
//
// # Limits
//
// A resource is found only by the names that the catalogue, or discovery, has
// for it. The package does not depend on HTTP or the storage engine, and does
// not cache.
//
// It is internal to watchhistory: its API changes without notice.
package query
