//go:build !windows

package cli

import (
	"os"
	"syscall"
)

// enableEscapes reports whether a terminal supports escape sequences. The
// caller must call restore.
func enableEscapes(*os.File) (supported bool, restore func()) { return true, func() {} }

// closedPipes returns the errors of a write to a pipe without a reader.
func closedPipes() []error { return []error{syscall.EPIPE} }
