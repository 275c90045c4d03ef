// Package recorder turns watch events into durable records.
//
// It owns the meaning of a version: whether it is new, its verb, its writers,
// and which parts of it may be stored. One [Stream] per resource decides that.
// A stream holds the head of every live object, about 300 bytes each.
//
// The [Recorder] commits the records of all streams, many to one transaction.
// As far as it is known, their order is that of the API server's writes.
//
// A watch event passes through these files:
//
//	stream.go                     the sink of a watch: events and bookmarks
//	stream_list.go                lists, and what they infer
//	stream_gap.go                 gaps, and the state of the watch
//	version.go                    parsing, and the bounds of metadata
//	rules.go, internal/redact     redaction and ignore rules
//	attribution.go                who wrote the version
//	version_summary.go            the summary, and the fields of each writer
//	queue.go, queue_order.go      the order of commits across resources
//	commit.go                     transactions, retries and shutdown
//	metrics.go                    the metrics of all of these
//
// The documents in which the API server describes what it serves are recorded
// by documents.go, without the queue.
//
// Invariants:
//
//   - A checkpoint is never committed before the records that it covers.
//   - A version that the log contains is not recorded again. So a list of an
//     unchanged cluster records nothing.
//   - An accepted record is never dropped. Queues block, a commit that keeps
//     failing stops the recorder, and a shutdown commits all accepted records.
//   - The values of a Secret leave this package only as keyed hashes.
//
// It does not guess. A watch event without a name, a UID or a resourceVersion
// is an error, and a list that breaks off infers no deletion. It does not
// watch: package watcher calls the streams.
//
// It is internal to watchhistory: its API changes without notice.
package recorder
