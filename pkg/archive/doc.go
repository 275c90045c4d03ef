// Package archive writes exports and answers queries from them. An export is a
// file with the versions and gaps of a range of time.
//
// The file has a format of its own, which does not depend on the database's
// keys. So an export stays readable when the database changes.
// docs/storage-format.md describes the format byte by byte. [Write] writes an
// excerpt of a log. [Open] imports an export into a temporary log, which
// returns what the original log would return about the range.
//
// [Journal] writes a recording while it is made, so that it can be read after
// any end of the process. A recording that ends regularly becomes an export.
//
// Invariant: a query is answered only after the whole file was read and
// verified. An export that differs from what was written is an error. A journal
// is read up to its last intact mark, and the loss is reported.
//
// The package does not parse objects. Secret values were hashed when they were
// recorded, and the redaction key is not exported.
//
// It is internal to watchhistory: its API changes without notice.
package archive
