//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminalState saves the state of the terminal that r reads from. Restore sets
// it again: an interrupted credential plugin may leave the echo off. It does
// nothing if another program owns the terminal by then.
func terminalState(r io.Reader) (restore func()) {
	f, ok := r.(*os.File)
	if !ok {
		return func() {}
	}
	fd := int(f.Fd()) //nolint:gosec // a file descriptor fits
	state, err := term.GetState(fd)
	if err != nil {
		return func() {}
	}
	return func() {
		if foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err == nil && foreground == unix.Getpgrp() {
			_ = term.Restore(fd, state)
		}
	}
}
