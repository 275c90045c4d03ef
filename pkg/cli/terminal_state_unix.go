//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminalState returns what sets the terminal that r reads from to the state in which it is now. A credential plugin that
// is interrupted may leave it without an echo. It does nothing if another program has the terminal by then.
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
