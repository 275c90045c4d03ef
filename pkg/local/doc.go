// Package local answers queries in this process, without a recorder's service.
// It records a cluster from this process into a file ([Record]).
//
// Invariants: a recording is in its file up to the last second, however the
// process ends. What is not recorded is named in the file, so that an answer
// about it does not look empty.
//
// The package does not read the file format, the log or watch events itself:
// archive, query, api and daemon do. It is internal to watchhistory: its API
// changes without notice.
package local
