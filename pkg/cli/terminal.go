package cli

import (
	"io"
	"os"
	"slices"

	"golang.org/x/term"
)

// defaultWidth is the width in columns of a terminal that does not report one.
const defaultWidth = 80

// terminalWidth returns the number of columns of the terminal that w writes to,
// or 0 if w is not a terminal. A pager is one.
func terminalWidth(w io.Writer) int {
	if p, ok := w.(*pager); ok {
		return p.cols
	}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor fits
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd())) //nolint:gosec // a file descriptor fits
	if err != nil || width <= 0 {
		return defaultWidth
	}
	return width
}

// prepareTerminals enables escape sequences on the output streams, and notes
// whether all terminals support them. The caller must call restore.
func (e *Environment) prepareTerminals() (restore func()) {
	kind, _ := e.LookupEnv("TERM")
	e.noEscapes = kind == "dumb"
	var undo []func()
	for _, w := range []io.Writer{e.Out, e.ErrOut} {
		if f, ok := w.(*os.File); ok && terminalWidth(f) > 0 {
			supported, restore := enableEscapes(f)
			e.noEscapes = e.noEscapes || !supported
			undo = append(undo, restore)
		}
	}
	return func() {
		for _, restore := range slices.Backward(undo) {
			restore()
		}
	}
}

// color reports whether the output is coloured. The mode is the value of
// --color.
func (e *Environment) color(mode string) bool {
	_, noColor := e.LookupEnv("NO_COLOR")
	switch mode {
	case "always":
		return true
	case "never":
		return false
	default:
		return !noColor && !e.noEscapes && terminalWidth(e.Out) > 0
	}
}
