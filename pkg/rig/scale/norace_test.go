//go:build !race

package scale_test

// raceEnabled reports whether the race detector is on.
const raceEnabled = false
