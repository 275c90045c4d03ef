// Package selector selects versions by what they contain: by labels, by fields,
// by the reason and the type of Events, or by an expression in the Common
// Expression Language (CEL).
//
// It owns the supported fields, the variables of expressions, and the limits of
// what an expression may cost. A [history.Filter] is decided by the log's
// metadata and indexes; a [Selector] needs the object itself, and expressions
// may need its previous version.
//
// Invariant: no selector and no object make it panic or fail. A version for
// which an expression has no value, because a field is missing, is not
// selected. Only an expression that exceeds its limits is an error.
//
// docs/design/0024-expressions.md explains why expressions are CEL.
//
// It does no I/O. It does not hide anything: callers pass versions in the form
// that the reader may see.
//
// It is internal to watchhistory: its API changes without notice.
package selector
