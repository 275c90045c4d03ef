package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// progressText is the progress line of a command that waits for an answer.
const progressText = "Querying the recorder…"

// progressDelay is how long a command runs before progress is shown.
const progressDelay = time.Second

// progressLine shows one line on a terminal while a command waits. It appears
// after progressDelay, and never on anything but a terminal.
//
// The line is suspended while a credential plugin may prompt; that time does
// not count as waiting. Only the characters of the line are erased, so that a
// prompt on the same line remains. All methods are safe for concurrent use.
type progressLine struct {
	w io.Writer

	mu        sync.Mutex // guards the fields below
	text      string     // empty while the command does not wait
	timer     *time.Timer
	remaining time.Duration // until the line appears
	started   time.Time     // when the timer was started
	suspended int           // the number of suspensions
	shown     bool
	echoed    bool // the terminal may have written "^C" after the line
}

// begin shows text after progressDelay.
func (p *progressLine) begin(text string) {
	if terminalWidth(p.w) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.remaining = text, progressDelay
	p.startLocked()
}

// replace shows another text at once, unless the command has ended its waiting.
func (p *progressLine) replace(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.text == "" {
		return
	}
	p.stopLocked()
	p.text, p.remaining = text, 0
	p.startLocked()
}

// end removes the line.
func (p *progressLine) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopLocked()
	p.text = ""
}

// Suspend implements [kube.Display].
func (p *progressLine) Suspend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopLocked()
	p.suspended++
}

// Resume implements [kube.Display].
func (p *progressLine) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.suspended--
	p.startLocked()
}

// startLocked starts the timer, unless it runs or the line is suspended.
func (p *progressLine) startLocked() {
	if p.text == "" || p.suspended > 0 || p.timer != nil {
		return
	}
	p.started = time.Now()
	var timer *time.Timer
	timer = time.AfterFunc(p.remaining, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == timer { // otherwise it was stopped
			p.shown = true
			_, _ = fmt.Fprint(p.w, p.text)
		}
	})
	p.timer = timer
}

// stopLocked stops the timer and erases the line.
func (p *progressLine) stopLocked() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.timer = nil
	p.remaining = max(0, p.remaining-time.Since(p.started))
	if p.shown {
		p.shown = false
		back := fmt.Sprintf("\x1b[%dD", utf8.RuneCountInString(p.text)) // by the width of the text
		if p.echoed {
			back = "\r"
		}
		_, _ = fmt.Fprint(p.w, back+"\x1b[K")
	}
}

// interrupt makes the progress line be erased together with the echo of ctrl-C,
// which terminals write.
func (p *progressLine) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.echoed = true
}
