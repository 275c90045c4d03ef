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

// How often a meter says how far it is: on a terminal, in one line that it writes over, and elsewhere.
const (
	drawEvery = 200 * time.Millisecond
	noteEvery = 30 * time.Second
)

// meter says how far a long operation is. It is for one goroutine.
type meter struct {
	w        io.Writer
	what     string
	terminal bool
	begin    time.Time
	next     time.Time
	drawn    int // width of the text on the terminal, in columns
	entries  int64
	bytes    int64
}

func newMeter(w io.Writer, what string) *meter {
	m := &meter{w: w, what: what, terminal: isTerminal(w), begin: time.Now()}
	m.next = m.begin.Add(m.every())
	return m
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (m *meter) every() time.Duration {
	if m.terminal {
		return drawEvery
	}
	return noteEvery
}

// progress is the [store.Progress] of the operation.
func (m *meter) progress(entries, bytes int64) {
	m.entries, m.bytes = entries, bytes
	now := time.Now()
	if now.Before(m.next) {
		return
	}
	m.next = now.Add(m.every())
	if m.terminal {
		m.draw(fmt.Sprintf("%s: %s", m.what, m))
		return
	}
	_, _ = fmt.Fprintf(m.w, "%s: %s\n", m.what, m)
}

// draw replaces the text on the terminal. It uses no escape sequences, because
// not every console supports them.
func (m *meter) draw(text string) {
	columns := utf8.RuneCountInString(text)
	_, _ = fmt.Fprintf(m.w, "\r%s%s", text, strings.Repeat(" ", max(m.drawn-columns, 0)))
	m.drawn = columns
}

// clear removes the text from the terminal.
func (m *meter) clear() {
	if m.drawn > 0 {
		m.draw("")
		_, _ = io.WriteString(m.w, "\r")
	}
}

// String tells how much is done, and how fast.
func (m *meter) String() string {
	rate := int64(float64(m.bytes) / max(time.Since(m.begin).Seconds(), 0.001))
	said := fmt.Sprintf("%s, %s/s", size(m.bytes), size(rate))
	if m.entries > 0 {
		said = fmt.Sprintf("%d entries, %s", m.entries, said)
	}
	return said
}

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
