package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// listenError says what to do about an address that can't be had.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return history.Errorf(history.Unavailable,
			"%s is in use by another program: end that one, or set SERVER_PORT to a free port (0 takes any)", address)
	case errors.Is(err, fs.ErrPermission):
		return history.Errorf(history.Invalid, "may not listen on %s: set SERVER_PORT to a port above 1023", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return history.Errorf(history.Invalid, "%s is no address of this machine: set BIND_ADDRESS to one that is", address)
	default:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
}
