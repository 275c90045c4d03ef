// Package cli is the command line of the kubectl plugin: its commands, their
// flags and their output.
//
// A command is an options struct with the steps complete, validate and run. Its
// streams, clock and environment are injected in an [Environment]. The package
// has no state and never exits the process. [Main] maps errors to exit codes,
// in one place.
//
// Invariant: stdout contains only data. Warnings, notes and everything that the
// output omits go to stderr.
//
// The package does not guess the meaning of a type's name. Discovery decides
// and, if it does not have the type or fails, the recorder's catalogue.
//
// # Files
//
//   - root.go, exit.go, environment.go: the program and its surroundings
//   - hints.go: advice for errors, by their causes
//   - cmd*.go: the commands
//   - session.go: the connection to a recorder
//   - query*.go: queries to it, and their range of time
//   - resolve*.go: types and arguments
//   - output*.go: formats, and notes on stderr
//   - completion.go: shell completion
//   - terminal*.go: widths, colours, progress and states of terminals
//
// It is internal to watchhistory: its API changes without notice.
package cli
