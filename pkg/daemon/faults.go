package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// listenError returns the error of listening on an address, with a hint if the
// configuration can help. portSetting and addressSetting are the settings that
// select the address.
func listenError(address, portSetting, addressSetting string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return history.WithHint(
			history.Errorf(history.Unavailable, "listen on %s: the address is in use by another program", address),
			"Stop it, or set "+portSetting+" to a free port; 0 means any.")
	case errors.Is(err, fs.ErrPermission):
		return history.WithHint(
			history.Errorf(history.Invalid, "listen on %s: permission denied", address),
			"Set "+portSetting+" to a port above 1023.")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return history.WithHint(
			history.Errorf(history.Invalid, "listen on %s: not an address of this machine", address),
			"Set "+addressSetting+" to one that is.")
	default:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
}
