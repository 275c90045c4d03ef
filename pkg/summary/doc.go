// Package summary puts a recorded version into words: what changed against the version before it, and what is wrong with
// the object by its own status.
//
// It owns the comparison of two versions' JSON that is cheap enough to be made for every version that is recorded: what is
// the same to the byte is never decoded. Its invariant is that the words depend on nothing but the record and the version
// before, so that it makes no difference whether they are found when recording or when somebody asks.
//
// It does no I/O, and refuses to guess: without the version before it says so.
package summary
