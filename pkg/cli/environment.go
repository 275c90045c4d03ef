package cli

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// Environment is what a command runs in.
type Environment struct {
	genericiooptions.IOStreams

	Now       func() time.Time
	LookupEnv func(name string) (string, bool)
	Name      string // how people call the program: "kubectl watchhistory"
	Version   string // of the program

	answering func() // ends what a terminal shows while it waits; nil where nothing does
}

// answer is called before anything of an answer is written, to whichever stream: both may be the terminal that shows progress.
func (e *Environment) answer() {
	if e.answering != nil {
		e.answering()
	}
}

// terminalWidth returns the number of columns of the terminal that w writes to, or 0 where it is none.
func terminalWidth(w io.Writer) int {
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

// defaultWidth is the width of a terminal that does not tell.
const defaultWidth = 80

// color decides whether answers have colours.
func (e *Environment) color(mode string) bool {
	_, refused := e.LookupEnv("NO_COLOR")
	kind, _ := e.LookupEnv("TERM")
	switch mode {
	case "always":
		return true
	case "never":
		return false
	default:
		return !refused && kind != "dumb" && terminalWidth(e.Out) > 0
	}
}
