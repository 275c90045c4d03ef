// Package store is the event log: every version of every object, with its
// indexes, in a BadgerDB directory.
//
// The store does not depend on watching or HTTP. It reads bodies only on
// request, and parses none. Package storetest states what users of any log rely
// on, and this package passes it. docs/storage-format.md describes keys and
// values byte by byte.
//
// # Promises
//
//  1. A record commits in one transaction with its index entries, its object's
//     head, and new dictionary entries. A batch that exceeds a transaction is
//     split between records.
//  2. A checkpoint commits in the last transaction of its batch. So it is never
//     newer than the records that it covers.
//  3. The times of records are unique and strictly increasing, across restarts
//     and changes of the clock.
//  4. Versions older than the retention are not answered, whether they are
//     still stored or not. The exception is the baseline: the newest version of
//     each object before the retention begins. [Store.Prune] drops whole days,
//     and writes the baselines that it would drop. If nothing prunes, versions
//     expire a year later.
//  5. All data is read with its checksum. A damaged table is repaired when the
//     damage is found, and gaps cover what is lost. After a damaged entry, the
//     rest of a write-ahead log is ignored, including checkpoints.
//  6. A version's body is a snapshot, or a delta to an older version of the
//     same day and process. So all bases of an answerable version exist.
//
// # Files
//
//	store.go open.go format.go  the Store, its opening, the database's format
//	commit.go                   Append: checks, and the order of a batch
//	commit_batch.go             transactions, times and numbers
//	commit_version.go           the entries of a version, its object's head
//	commit_body.go              snapshots, deltas, reference snapshots
//	dictionary.go               numbers for texts, of the log and of a day
//	indexes.go                  the table of indexes
//	read*.go                    records and bodies, caches
//	scan*.go                    queries: plan, merged ranges, prefetching
//	scan_view.go scan_places.go what a caller may read
//	scan_state.go scan_objects.go scan_listing.go scan_listed.go
//	                            states and their differences
//	heads.go                    heads and checkpoints, repair of heads
//	catalogue.go gaps.go        the catalogue, gaps
//	retention*.go usage.go      dropped days, baselines, the log's size
//	export.go import.go         excerpts for other files
//	backup.go restore.go        backups
//	verify*.go repair*.go       verification and repair
//	integrity.go files.go       damaged tables, Badger's directory
//	spare.go                    the spare copy
//
// The packages below internal do not use the Store. codec and key own the bytes
// of values and keys. delta encodes bodies. badgerdir and table own Badger's
// files, and backup the format of backups.
//
// # Commit
//
//  1. Append checks the batch and encodes the bodies concurrently.
//  2. It locks commitMu. From here on there is one committer, so transactions
//     can't conflict, and Badger's conflict detection is off.
//  3. It checks the number of tables, dictionary numbers and disk space. A
//     batch that doesn't fit is rejected before anything is written. So is one
//     that has to read a damaged block; it is appended again after the repair.
//  4. It adds open gaps and withdrawn checkpoints, then each record, then the
//     ends of gaps and new checkpoints. A full transaction commits, and the
//     next one begins.
//  5. Each commit raises the visible time first, and then makes its entries
//     visible.
//  6. An error in step 4 or 5 makes the log read-only until it is opened again.
//     Opening it shows what is on disk.
//
// # Scan
//
//  1. The reader's transaction fixes what the scan sees.
//  2. The plan takes the first index of the table whose selects fields include
//     one that the filter sets, and makes ranges of keys.
//  3. Day by day, the ranges are merged by time. The blocks that were read are
//     verified, because Badger skips a block that it can't read.
//  4. Baselines come before the days that are kept.
//  5. Each hit's record is compared with the filter, and its body is
//     prefetched.
//  6. Readers don't block each other or the committer. If a day is dropped
//     while it is read, the scan ends with an error and has to be repeated.
//
// # Prune
//
//  1. Write the day's last versions as baselines. Readers ignore them so far.
//  2. Raise the retention floor to the next day, in one transaction with the
//     gaps.
//  3. Remove the replaced baselines, and the heads of objects deleted in the
//     day.
//  4. Drop the day's prefix.
//
// Each step is durable before the next, and idempotent. See retention.go.
//
// # Lock order
//
// useMu (use of the database, against closing and repair), pruneMu (the
// pruner), commitMu (the committer). The mutexes of caches are taken last and
// never nested.
//
// It is internal to watchhistory: its API changes without notice.
package store
