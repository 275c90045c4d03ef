package cli

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// enableEscapes enables escape sequences on a terminal, and reports whether it
// supports them. The caller must call restore.
//
// A console prints escape sequences as text until they are enabled. Consoles
// before Windows 10 do not support them.
func enableEscapes(f *os.File) (supported bool, restore func()) {
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

// closedPipes returns the errors of a write to a pipe without a reader.
func closedPipes() []error {
	return []error{syscall.EPIPE, windows.ERROR_BROKEN_PIPE, windows.ERROR_NO_DATA}
}
