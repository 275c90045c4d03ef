// Package recordertest runs recorders for tests. [Recorder] is the recorder's
// binary: a process with a database that outlives it, so tests can kill it,
// restart it, query its REST API, and measure it. [RunDaemon] runs a recorder
// in the test's process. [API] is only the REST API, in the test's process,
// with the records that the test needs.
//
// It owns the processes and the databases: each process has ended, and each
// database is closed, when its test has ended. It waits for the states that
// tests name and checks nothing else.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package recordertest
