// Package cli is the kubectl plugin's command line: its commands, their flags, and what they print where.
//
// A command is an options struct that goes through Complete, Validate and Run. Its streams, its clock and its environment
// are injected; the package keeps no state and ends no process. stdout carries data only; everything else, what was left
// out included, goes to stderr. Exit codes are decided in one place, [Main].
//
// It refuses to guess: a type is what the cluster's discovery or, where that can't tell, the recorder's catalogue says.
package cli
