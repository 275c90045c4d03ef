package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// listenError returns the error of listening on an address, with a remedy if
// there is one. portVariable and addressVariable are the variables that select
// the address.
func listenError(address, portVariable, addressVariable string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return history.Errorf(history.Unavailable,
			"address %s is in use by another program: stop it, or set %s to a free port (0 means any)", address, portVariable)
	case errors.Is(err, fs.ErrPermission):
		return history.Errorf(history.Invalid,
			"listen on %s: permission denied: set %s to a port above 1023", address, portVariable)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return history.Errorf(history.Invalid,
			"listen on %s: not an address of this machine: set %s to one that is", address, addressVariable)
	default:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
}
