// Package daemon puts the recorder's parts together and runs them: configuration, store, recorder, watchers and the REST
// API. It is the only package that knows them all.
//
// Its invariant is the order of things. The store opens before anything can be recorded and closes after everything
// has stopped; on the way down the HTTP server goes first, then the watchers, then the recorder's queue is flushed, then
// the store closes: what a watcher handed over is on disk. A configuration that changes at run time is in force as a whole or
// not at all, and its rules before its resources.
//
// It decides nothing about what a version is or how it is kept.
package daemon
