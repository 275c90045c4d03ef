// Package recordertest runs the recorder's own binary for tests, as a process over a database that outlives it, so that it can
// be killed, restarted, asked over its REST API, and measured.
//
// It owns the process: each one that it starts has ended when the test has. It waits for what it is told to wait for and
// judges nothing.
package recordertest
