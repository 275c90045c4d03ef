package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// progressPatience is how long a terminal stays silent.
const progressPatience = time.Second

// waiting is what a terminal shows while an answer is awaited: nothing for a second, and then one line. To anything but a
// terminal it writes nothing. Its methods may be called at any time.
//
// It is suspended while a credential plugin may prompt on the terminal. It erases no more than it wrote, so that a prompt
// on the same line stays.
type waiting struct {
	w io.Writer

	mu        sync.Mutex // guards what follows
	text      string     // empty: nothing is awaited
	timer     *time.Timer
	left      time.Duration // of the patience
	since     time.Time     // when the timer was started
	suspended int
	shown     bool
}

// begin shows the text once it was awaited for a second.
func (p *waiting) begin(text string) {
	if terminalWidth(p.w) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.left = text, progressPatience
	p.start()
}

// end takes away what is shown.
func (p *waiting) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	p.text = ""
}

// Suspend implements [kube.Display].
func (p *waiting) Suspend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	p.suspended++
}

// Resume implements [kube.Display].
func (p *waiting) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.suspended--
	p.start()
}

// start needs the lock.
func (p *waiting) start() {
	if p.text == "" || p.suspended > 0 || p.timer != nil {
		return
	}
	p.since = time.Now()
	var timer *time.Timer
	timer = time.AfterFunc(p.left, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.timer == timer { // otherwise it was stopped
			p.shown = true
			_, _ = fmt.Fprint(p.w, p.text)
		}
	})
	p.timer = timer
}

// stop needs the lock.
func (p *waiting) stop() {
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.timer = nil
	p.left = max(0, p.left-time.Since(p.since))
	if p.shown {
		p.shown = false
		_, _ = fmt.Fprintf(p.w, "\x1b[%dD\x1b[K", utf8.RuneCountInString(p.text))
	}
}
