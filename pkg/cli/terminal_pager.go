package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"golang.org/x/term"
)

// The variables with the pager's command, in the order of preference. "" and
// "cat" mean no pager.
const (
	ownPagerVariable = "KUBECTL_WATCHHISTORY_PAGER"
	pagerVariable    = "PAGER"
	defaultPager     = "less"
)

// lessOptions are those of git: less ends if everything is on the screen,
// passes colours on, and does not clear the screen.
const lessOptions = "FRX"

// errStopped is the error of a pager that is to be started after an interrupt.
var errStopped = errors.New("interrupted")

// paging has the pager of the command that runs, for the end of the process.
// Its methods may be used concurrently.
type paging struct {
	mu      sync.Mutex
	current *pager
}

// set sets the pager that runs, or nil.
func (g *paging) set(p *pager) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = p
}

// stop waits until the pager has ended, if one runs.
func (g *paging) stop() {
	g.mu.Lock()
	p := g.current
	g.mu.Unlock()
	if p != nil {
		p.stop()
	}
}

// inPager calls write, whose output is shown in a pager if it is longer than
// the screen, and waits until the pager has ended.
func (c *connection) inPager(write func() error) error {
	if c.noPager || c.env.paging == nil {
		return write()
	}
	p := c.env.newPager()
	if p == nil {
		return write()
	}
	out, notes := c.env.Out, c.env.ErrOut
	c.env.Out = p
	if p.notes != nil {
		c.env.ErrOut = noteWriter{p}
	}
	c.env.paging.set(p)
	err := write()
	if failed := p.close(); err == nil {
		err = failed
	}
	c.env.paging.set(nil)
	c.env.Out, c.env.ErrOut = out, notes
	return err
}

// pager is the output of a command on a terminal. It is written to the terminal
// if it fits on the screen, and otherwise to a pager, which is started then.
//
// Notes that are written after the first output follow it. Once a pager runs,
// it owns the terminal, so they wait until it has ended.
//
// Its methods may be used concurrently. A pager is used for one command.
type pager struct {
	command    string
	env        []string // of the pager, in addition to that of this process
	terminal   *os.File
	notes      io.Writer // nil: notes are not written to a terminal
	rows, cols int       // of the terminal

	mu       sync.Mutex // guards the fields below
	held     bytes.Buffer
	heldRows int
	wrote    bool // there was output
	later    bytes.Buffer
	direct   bool // output is written to the terminal at once
	process  *exec.Cmd
	to       *os.File      // the pager's input
	ended    chan struct{} // closed when the pager has ended
	stopped  bool          // no pager is started any more
}

// newPager returns the pager of an environment, or nil if output is written
// without one.
func (e *Environment) newPager() *pager {
	f, ok := e.Out.(*os.File)
	if !ok || e.noEscapes || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a file descriptor fits
		return nil
	}
	cols, rows, err := term.GetSize(int(f.Fd())) //nolint:gosec // a file descriptor fits
	if err != nil || rows <= 0 || cols <= 0 {
		return nil
	}
	command, set := e.LookupEnv(ownPagerVariable)
	if !set {
		command, set = e.LookupEnv(pagerVariable)
	}
	if !set {
		command = defaultPager
	}
	fields := strings.Fields(command)
	if len(fields) == 0 || len(fields) == 1 && fields[0] == "cat" {
		return nil
	}
	if _, err := exec.LookPath(fields[0]); err != nil && !isShellSyntax(command) {
		if set {
			e.note(fmt.Sprintf("Warning: no pager: %v", err))
		}
		return nil
	}
	p := &pager{command: command, terminal: f, rows: rows, cols: cols}
	for name, value := range map[string]string{"LESS": lessOptions, "LV": "-c"} {
		if _, set := e.LookupEnv(name); !set {
			p.env = append(p.env, name+"="+value)
		}
	}
	if terminalWidth(e.ErrOut) > 0 {
		p.notes = e.ErrOut
	}
	return p
}

// isShellSyntax reports whether a command has more than words.
func isShellSyntax(command string) bool { return strings.ContainsAny(command, "|&;<>()$`\\\"'*?[#~=%") }

// Write implements [io.Writer].
func (p *pager) Write(text []byte) (int, error) {
	p.mu.Lock()
	p.wrote = p.wrote || len(text) > 0
	if !p.direct && p.to == nil {
		p.held.Write(text)
		if p.heldRows += p.rowsOf(text); p.heldRows < p.rows {
			p.mu.Unlock()
			return len(text), nil
		}
		if err := p.startLocked(); err != nil {
			_, _ = fmt.Fprintf(&p.later, "Warning: no pager: %v\n", err)
			p.direct = true
		}
		text = bytes.Clone(p.held.Bytes())
		p.held.Reset()
	}
	to := p.terminal
	if p.to != nil {
		to = p.to
	}
	p.mu.Unlock() // a write waits until the pager reads
	return to.Write(text)
}

// rowsOf returns how many rows of the terminal a text takes. A line that has
// not ended does not count yet.
func (p *pager) rowsOf(text []byte) (rows int) {
	for line := range bytes.Lines(text) {
		if plain, ended := bytes.CutSuffix(line, []byte("\n")); ended {
			rows += max(1, (twwidth.Width(string(plain))+p.cols-1)/p.cols)
		}
	}
	return rows
}

// noteWriter writes notes after the output of a pager.
type noteWriter struct{ *pager }

// Write implements [io.Writer].
func (w noteWriter) Write(text []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrote && (!w.direct || w.to != nil) {
		return w.later.Write(text)
	}
	return w.notes.Write(text)
}

// startLocked starts the pager.
func (p *pager) startLocked() error {
	if p.stopped {
		return errStopped
	}
	from, to, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start a pager: %w", err)
	}
	defer from.Close()
	words := strings.Fields(p.command)
	if isShellSyntax(p.command) && runtime.GOOS != "windows" {
		words = []string{"sh", "-c", p.command}
	}
	// It ends when its user ends it, and not with a context.
	process := exec.CommandContext(context.Background(), words[0], words[1:]...) //nolint:gosec // the user's command
	process.Stdin, process.Stdout, process.Stderr = from, p.terminal, p.terminal
	process.Env = append(os.Environ(), p.env...)
	// An interrupt from the terminal is for the pager, too. This process must
	// not end before it, also not because of a second one.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	restore := terminalState(p.terminal)
	if err := process.Start(); err != nil {
		signal.Stop(interrupts)
		_ = to.Close()
		return fmt.Errorf("start a pager: %w", err)
	}
	p.process, p.to, p.ended = process, to, make(chan struct{})
	go func() {
		if err := process.Wait(); err != nil {
			restore() // it may have been killed
		}
		signal.Stop(interrupts)
		close(p.ended)
	}()
	return nil
}

// close writes what is held, waits until the pager has ended, and writes the
// notes.
func (p *pager) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.terminal.Write(p.held.Bytes())
	p.held.Reset()
	p.waitLocked()
	if p.later.Len() > 0 {
		_, _ = p.notes.Write(p.later.Bytes())
		p.later.Reset()
	}
	p.direct, p.to = true, nil
	return err
}

// stop ends the output of a command that was interrupted. A pager shows what it
// has until its user ends it.
func (p *pager) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waitLocked()
}

// waitLocked ends the pager's input, and waits until the pager has ended.
func (p *pager) waitLocked() {
	p.stopped = true
	if p.process != nil {
		_ = p.to.Close() // also ends a write that waits
		<-p.ended
	}
}
