//go:build !race

package scale_test

// raced tells that the race detector is on.
const raced = false
