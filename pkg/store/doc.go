// Package store is the log: every version of every object, with its indexes, on BadgerDB.
//
// What it promises:
//
//  1. A record, its body, its index entries, the head that it moves and the numbers that it needs commit in one
//     transaction. A batch that is larger than a transaction is cut between records.
//  2. A checkpoint commits in the last transaction of its batch, so never ahead of the records that it covers.
//  3. The times of records are unique and strictly increasing, across restarts and whatever the clock does.
//  4. What is older than the retention is not answered, whether it is still there or not, but for one version of each object: the
//     one that stood when the retention begins. Pruning drops whole days from the disk, takes those versions along, and takes
//     along what is kept of objects that were deleted. Where nobody prunes, all of that expires, a year later.
//  5. What is read has the checksum that was written. A table that is damaged is repaired when that is found: what is lost with
//     it lies in gaps. After a damaged entry of a write-ahead log there is nothing, checkpoints included.
//  6. A version is a snapshot or the difference to another one, of the same day and process: whatever a version needs to be
//     read is there for as long as it may be answered.
//
// There is one committer at a time, so that transactions can't conflict and Badger does not look for conflicts. Readers
// see the log as it was when they began, run beside the committer and beside one another, and are never waited for but
// by Close; only a scan that reads a day which is dropped meanwhile has to be made again. After a commit that failed the log
// refuses to be written, and may refuse to be read: what is on disk is then known only to whoever opens it again. A batch for
// which the volume has no room is refused before it is begun, and changes nothing.
//
// What users of a log rely on, whatever its engine, is package storetest; this one has to pass it.
//
// The store knows nothing about watching or HTTP. It reads no body that is not asked for, and parses none. Keys are
// described byte by byte in docs/storage-format.md.
package store
