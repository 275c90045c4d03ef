package admin

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// How often progress is written: on a terminal, where one line is overwritten,
// and elsewhere.
const (
	terminalInterval = 200 * time.Millisecond
	lineInterval     = 30 * time.Second
)

// progress writes the progress of a long operation. It is not safe for
// concurrent use.
type progress struct {
	w        io.Writer
	doing    string // "backing up"
	terminal bool
	begin    time.Time
	next     time.Time // when progress is written again
	drawn    int       // the width of the text on the terminal, in columns
	entries  int64
	bytes    int64
}

// newProgress returns the progress of an operation that begins now. doing is
// its name, such as "backing up".
func newProgress(w io.Writer, doing string) *progress {
	p := &progress{w: w, doing: doing, terminal: isTerminal(w), begin: time.Now()}
	p.next = p.begin.Add(p.interval())
	return p
}

// isTerminal reports whether w writes to a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// interval returns the time between two updates.
func (p *progress) interval() time.Duration {
	if p.terminal {
		return terminalInterval
	}
	return lineInterval
}

// update is the [store.Progress] of the operation. It may be called often: it
// writes once in an interval.
func (p *progress) update(entries, bytes int64) {
	p.entries, p.bytes = entries, bytes
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.interval())
	if p.terminal {
		p.draw(fmt.Sprintf("%s: %s", p.doing, p))
		return
	}
	_, _ = fmt.Fprintf(p.w, "%s: %s\n", p.doing, p)
}

// draw replaces the text on the terminal. It uses no escape sequences, because
// not every console supports them.
func (p *progress) draw(text string) {
	columns := utf8.RuneCountInString(text)
	_, _ = fmt.Fprintf(p.w, "\r%s%s", text, strings.Repeat(" ", max(p.drawn-columns, 0)))
	p.drawn = columns
}

// clear removes the text from the terminal.
func (p *progress) clear() {
	if p.drawn > 0 {
		p.draw("")
		_, _ = io.WriteString(p.w, "\r")
	}
}

// String returns how much was processed, and how fast. The rate is the average
// since the start.
func (p *progress) String() string {
	// At least a millisecond, so that the rate is finite.
	rate := int64(float64(p.bytes) / max(time.Since(p.begin).Seconds(), 0.001))
	text := fmt.Sprintf("%s, %s/s", size(p.bytes), size(rate))
	if p.entries > 0 {
		text = fmt.Sprintf("%d entries, %s", p.entries, text)
	}
	return text
}

// size returns a number of bytes with a decimal unit.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d kB", n/1000)
	default:
		return fmt.Sprintf("%d MB", n/1_000_000)
	}
}
