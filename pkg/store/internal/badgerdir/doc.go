// Package badgerdir manages the files of a Badger database on disk. It claims
// the directory, checks the files before Badger opens them, opens the database,
// and replaces damaged files.
//
// Badger trusts its files. It ends the process over some kinds of damage, and
// over others it drops data without an error: it deletes tables that its
// manifest does not name, skips blocks that it can't read, and continues after
// a damaged write-ahead log (WAL). This package finds such damage first.
//
// Invariants:
//
//   - [Open] is called only after [Check] accepted the directory, or after a
//     [View] of a [Salvage] was installed.
//   - The manifest is replaced after all files that it names are synced, and
//     before any file that it no longer names is removed. A crash in between
//     leaves unnamed files, which Badger removes.
//   - Examining a directory and making a view of it never change the directory.
//
// The caller must hold the directory's [Lock], unless a function says
// otherwise. The package knows keys only as bytes: it knows no records, and it
// does not decide how a lost key is restored.
package badgerdir
