// Package watcher discovers what an API server serves, and lists and watches
// it.
//
// A [Watcher] watches one resource. It resumes from the checkpoint of its
// [Sink], and lists only if the API server can't resume from there. A [Set]
// keeps one watcher running for each resource that is configured, defined by a
// CRD, or discovered.
//
// Invariants:
//
//   - The resourceVersion that a watch resumes from advances only after the
//     sink has accepted every event up to it.
//   - Each watch event reaches the sink once, in the API server's order, or the
//     watcher ends with the sink's error.
//   - A list that is interrupted is reported as aborted, never as complete. A
//     resource that is not served or not permitted is retried. It is never an
//     empty list.
//
// The package does not decode, keep or compare objects. It passes their bytes
// on, and the sink decides what a missing object in a list means. It does not
// drop events: a sink that blocks stops the reading of the watch.
//
// It is internal to watchhistory: its API changes without notice.
package watcher
