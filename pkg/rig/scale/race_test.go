//go:build race

package scale_test

// raceEnabled reports whether the race detector is on. It multiplies the
// memory.
const raceEnabled = true
