// Package admin keeps a history whole: its commands back a storage directory up, restore it and verify it, whether a recorder
// runs on it or not.
//
// One process owns a storage directory. So a recorder serves these operations on a unix socket in that directory, and a command
// that finds one asks it; otherwise the command opens the directory itself. The socket is the only way in: a backup holds the key
// that secret values are hashed with, and the REST API asks nobody who they are. Who may open the socket may read the directory.
//
// The invariant: what a command has said is there, is there as a whole. A file gets its name once it is complete and on the disk.
package admin
