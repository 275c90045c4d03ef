// Package daemon assembles the recorder and runs it: configuration, store,
// recorder, watchers, REST API and admin socket. It is the only package that
// imports all of them.
//
// A [Daemon] owns the listeners and the database from [New] until [Daemon.Run]
// returns or [Daemon.Close] is called.
//
// Its invariant is the order of start and stop. The store opens before anything
// can be recorded and closes last. On shutdown, the servers stop first, then
// the watchers, then the recorder commits its queue, then the store closes. So
// every watch event that a watcher handed over is on disk.
//
// A new configuration is applied completely or not at all, and its rules are
// applied before its resources. So nothing is recorded without the rules that
// redact it.
//
// The package does not decide what a version is, how it is stored, or when a
// watch is resumed.
//
// It is internal to watchhistory: its API changes without notice.
package daemon
