//go:build !unix

package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminalState saves the state of the terminal that r reads from. Restore sets
// it again: an interrupted credential plugin may leave the echo off.
func terminalState(r io.Reader) (restore func()) {
	f, ok := r.(*os.File)
	if !ok {
		return func() {}
	}
	state, err := term.GetState(int(f.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(f.Fd()), state) }
}
