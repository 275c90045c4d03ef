// Package badgerdir manages the files of a Badger database on disk. It claims
// the directory, checks the files before Badger opens them, opens the database,
// and replaces damaged files.
//
// Badger trusts its files. Some kinds of damage make it end the process. Others
// make it drop data without an error. It deletes tables that its manifest does
// not name, skips blocks that it can't read, and continues after a damaged
// write-ahead log (WAL). This package finds such damage first.
//
// Invariants:
//
//   - [Open] is called only on a new directory, or after [Check] accepted it.
//   - The manifest is replaced after all files that it names are synced, and
//     before any file that it no longer names is removed. A crash in between
//     leaves unnamed files, which Badger removes.
//   - Examining a directory and making a view of it never change the directory.
//
// The caller must hold the directory's [Lock], unless a function says
// otherwise. The package treats keys and values as bytes. It does not interpret
// them, and does not decide how a lost key is restored.
package badgerdir
