// Package restore brings objects back as they were recorded.
//
// [New] compares recorded objects with those of a cluster and decides what must
// be done about each: a [Plan]. [Cluster.Check] lets the API server validate a
// step without doing it, and [Cluster.Apply] does it. The reasons are in
// docs/design/0030-restore.md.
//
// Invariant: a step changes one object, never deletes one, and never writes a
// hash instead of a value that was hidden when it was recorded.
//
// The package reads no history, writes no output, and gives no advice: errors
// are those of the API server.
//
// It is internal to watchhistory: its API changes without notice.
package restore
