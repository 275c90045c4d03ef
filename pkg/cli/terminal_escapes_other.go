//go:build !windows

package cli

import (
	"os"
	"syscall"
)

// enableEscapes reports whether a terminal obeys escape sequences, and returns
// what undoes the preparation that this took.
func enableEscapes(*os.File) (obeyed bool, restore func()) { return true, func() {} }

// closedPipes are the errors of a write to a pipe that nobody reads any more.
func closedPipes() []error { return []error{syscall.EPIPE} }
