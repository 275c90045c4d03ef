// Package api serves the recorder's REST API over HTTP.
//
// # Ownership
//
// The package parses parameters, maps errors to statuses, and writes answers in
// the form of package v1. Package query answers the questions.
//
// # Invariants
//
//   - The part of the API that docs/api.md calls fixed does not change: its
//     paths, texts and fields. Everything else is added to it, and reports
//     errors as JSON.
//   - Each query is bounded in time and memory. So is the number of queries
//     that run at once, that wait, and whose answer is being sent.
//   - A query has no slot while its answer is being sent.
//   - A stream sends each record once, and never a position after a record that
//     follows. So it can be continued at each of its lines.
//   - An answer that was cut off never looks complete.
//
// # Limits
//
// The package never redirects, because clients join URLs in various ways. It
// does not authenticate: a handler in front of it may, and otherwise only the
// network limits who reaches the API.
//
// It is internal to watchhistory: its API changes without notice.
package api
