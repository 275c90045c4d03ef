//go:build race

package scale_test

// raced tells that the race detector is on, which takes several times the memory that is measured.
const raced = true
