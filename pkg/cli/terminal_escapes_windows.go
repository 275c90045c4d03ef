package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// enableEscapes reports whether a terminal obeys escape sequences, and returns
// what undoes the preparation that this took. Consoles print them instead,
// unless they are told otherwise; those before Windows 10 can't be told.
func enableEscapes(f *os.File) (obeyed bool, restore func()) {
	console := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false, func() {}
	}
	wanted := mode | windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	if wanted == mode {
		return true, func() {}
	}
	if err := windows.SetConsoleMode(console, wanted); err != nil {
		return false, func() {}
	}
	return true, func() { _ = windows.SetConsoleMode(console, mode) }
}

// closedPipes are the errors of a write to a pipe that nobody reads any more.
func closedPipes() []error {
	return []error{syscall.EPIPE, windows.ERROR_BROKEN_PIPE, windows.ERROR_NO_DATA}
}
