// Package admin contains the recorder's maintenance commands: backup, restore,
// verify, repair and export.
//
// One process owns a storage directory. So a running recorder serves these
// operations on a Unix socket in the directory, and a command uses the socket
// if there is one. Otherwise the command opens the directory itself.
//
// The REST API does not offer these operations: it has no authentication, and a
// backup contains the key of the hashes of secret values. A process that can
// open the socket can also read the directory.
//
// Invariant: a command reports success only after its output is complete and
// synced. A file gets its name then.
//
// # Files
//
//   - cmd*.go: the commands, and the files that they write
//   - access*.go: the operations on a log, directly or through the socket
//   - server*.go: the socket, and the recorder's side of it
//   - progress.go: the progress of a long operation
//
// It is internal to watchhistory: its API changes without notice.
package admin
