// Package local answers queries in this process, without a recorder's service:
// on the history in a file ([Open]). It serves the recorder's REST API through
// an [http.RoundTripper], so clients need not know the difference. It also
// records a cluster from this process into such a file ([Record]).
//
// Invariants: an answer about a file is what the recorder would have answered
// about its extent at its end, and "now" is that end. A recording is in its
// file up to the last second, however the process ends. What is not recorded is
// named in the file, so that an answer about it does not look empty.
//
// The package does not read the file format, the log or watch events itself:
// archive, query, api and daemon do. It is internal to watchhistory: its API
// changes without notice.
package local
