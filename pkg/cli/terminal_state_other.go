//go:build !unix

package cli

import (
	"io"
	"os"

	"golang.org/x/term"
)

// terminalState returns what sets the terminal that r reads from to the state in which it is now. A credential plugin that
// is interrupted may leave it without an echo.
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
