// Package recordertest runs the recorder's binary for tests. The process has a
// database that outlives it, so tests can kill it, restart it, query its REST
// API, and measure it.
//
// It owns the processes: each one has ended when its test has. It waits for the
// states that tests name and checks nothing else.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package recordertest
