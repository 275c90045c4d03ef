package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/watchhistory/watchhistory/pkg/client/kube"
)

// Environment is what a command runs in.
type Environment struct {
	genericiooptions.IOStreams

	Now       func() time.Time
	LookupEnv func(name string) (string, bool)
	Name      string // how people call the program: "kubectl watchhistory"
	Version   string // of the program

	plain   bool                 // a terminal among the streams does not obey escape sequences
	waiting *waiting             // what a terminal shows while an answer is awaited; nil: nothing
	logsIn  bool                 // the cluster's credentials may have to be asked for
	ahead   func() time.Duration // how far the recorder's clock is ahead of Now; nil before anyone has asked it
}

// recorderNow is the time on the recorder's clock, which relative times and
// ages go by: it is the one that recorded.
func (e *Environment) recorderNow() time.Time {
	if e.ahead == nil {
		return e.Now()
	}
	return e.Now().Add(e.ahead())
}

// noticeableSkew is the difference of clocks that people are told about.
const noticeableSkew = time.Minute

// warnOfSkew warns if this machine's clock differs much from the recorder's.
func (e *Environment) warnOfSkew() {
	if e.ahead == nil || e.ahead().Abs() <= noticeableSkew {
		return
	}
	where := "ahead of"
	if e.ahead() > 0 {
		where = "behind"
	}
	e.note(fmt.Sprintf("Warning: this machine's clock is %s %s the recorder's; relative times and ages go by the recorder's clock",
		duration.HumanDuration(e.ahead().Abs().Round(time.Second)), where))
}

// answer is called before anything of an answer is written, to whichever stream: both may be the terminal that shows progress.
func (e *Environment) answer() {
	if e.waiting != nil {
		e.waiting.end()
	}
}

// display returns what is suspended while a credential plugin may prompt; nil if nothing is shown, or none may.
func (e *Environment) display() kube.Display {
	if e.waiting == nil || !e.logsIn {
		return nil
	}
	return e.waiting
}

// mayPrompt hides what a terminal shows while credentials may be asked for, until over is called.
func (e *Environment) mayPrompt() (over func()) {
	d := e.display()
	if d == nil {
		return func() {}
	}
	d.Suspend()
	return d.Resume
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

// prepareTerminals makes the streams obey escape sequences, or finds out that
// they don't. Call restore at the end.
func (e *Environment) prepareTerminals() (restore func()) {
	kind, _ := e.LookupEnv("TERM")
	e.plain = kind == "dumb"
	var undo []func()
	for _, w := range []io.Writer{e.Out, e.ErrOut} {
		if f, ok := w.(*os.File); ok && terminalWidth(f) > 0 {
			obeyed, restore := enableEscapes(f)
			e.plain = e.plain || !obeyed
			undo = append(undo, restore)
		}
	}
	return func() {
		for _, restore := range slices.Backward(undo) {
			restore()
		}
	}
}

// defaultWidth is the width of a terminal that does not tell.
const defaultWidth = 80

// color decides whether answers have colours.
func (e *Environment) color(mode string) bool {
	_, refused := e.LookupEnv("NO_COLOR")
	switch mode {
	case "always":
		return true
	case "never":
		return false
	default:
		return !refused && !e.plain && terminalWidth(e.Out) > 0
	}
}
