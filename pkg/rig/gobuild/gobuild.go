// Package gobuild runs "go build" and shows how far it is. A build that takes
// minutes and prints nothing looks like one that hangs.
//
// It owns the progress and nothing of the build: what go prints beside the names
// of packages is passed on. How many packages there are to build is asked of go
// only once a build has lasted, so that one that is up to date costs nothing.
package gobuild

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// Build is what to build, and how to show it. Zero durations take their
// defaults.
type Build struct {
	Name string   // for people
	Dir  string   // the module's directory
	Args []string // of "go build"; a file to write follows -o
	Out  io.Writer
	// Terminal says that Out is one: its line is rewritten. Otherwise a line is
	// written now and then.
	Terminal bool
	// After is how long a build may take before anything is shown, 3 s.
	After time.Duration
	// Every is the time between two lines, 1 s on a terminal and otherwise 30 s.
	Every time.Duration
}

// IsTerminal reports whether a file is a terminal whose lines can be rewritten.
func IsTerminal(f *os.File) bool {
	return term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" //nolint:gosec // a file descriptor fits
}

func (b Build) withDefaults() Build {
	if b.After <= 0 {
		b.After = 3 * time.Second
	}
	if b.Every <= 0 && b.Terminal {
		b.Every = time.Second
	}
	if b.Every <= 0 {
		b.Every = 30 * time.Second
	}
	return b
}

// Run builds, and returns when that has ended. What go complains about is
// written to Out.
func Run(ctx context.Context, b Build) error {
	b = b.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-v"}, b.Args...)...) //nolint:gosec // the caller's arguments
	cmd.Dir = b.Dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go removes its temporary files then
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("build %s: %w", b.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", b.Name, err)
	}
	s := &screen{build: b, progress: progress{name: b.Name, began: time.Now()}}
	var showing sync.WaitGroup
	showing.Go(func() { s.show(ctx) })
	err = errors.Join(s.read(output), cmd.Wait())
	cancel()
	showing.Wait()
	s.clear()
	if err != nil {
		return fmt.Errorf("build %s: %w", b.Name, err)
	}
	return nil
}

// screen shows the progress of a build.
type screen struct {
	build Build

	mu       sync.Mutex // guards what follows, and Out
	progress progress
	shown    bool // a line stands on the terminal, to be rewritten
}

// read takes what go prints, until it ends.
func (s *screen) read(output io.Reader) error {
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		if !s.progress.take(lines.Text()) {
			s.erase()
			_, _ = fmt.Fprintln(s.build.Out, lines.Text())
		}
		s.mu.Unlock()
	}
	return lines.Err() //nolint:wrapcheck // Run names the build
}

// show writes the progress until ctx ends, unless the build ends soon.
func (s *screen) show(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(s.build.After):
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	asking.Go(func() { s.count(ctx) })
	ticker := time.NewTicker(s.build.Every)
	defer ticker.Stop()
	for {
		s.write()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// count asks go how many packages there are left to build.
func (s *screen) count(ctx context.Context) {
	s.mu.Lock()
	before := s.progress.started
	s.mu.Unlock()
	stale, err := stale(ctx, s.build)
	if err != nil {
		return // the build itself says what is wrong
	}
	s.mu.Lock()
	s.progress.total = before + stale
	s.mu.Unlock()
	s.write()
}

func (s *screen) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.progress.line(time.Now())
	if s.build.Terminal {
		_, _ = io.WriteString(s.build.Out, "\r\x1b[K"+line)
		s.shown = true
		return
	}
	_, _ = fmt.Fprintln(s.build.Out, line)
}

// clear removes the line from the terminal.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// erase is clear for who holds mu.
func (s *screen) erase() {
	if s.shown {
		_, _ = io.WriteString(s.build.Out, "\r\x1b[K")
		s.shown = false
	}
}

// stale returns how many packages go has to build. Packages that depend on one
// of them are counted, though go may find that it has them already.
func stale(ctx context.Context, b Build) (n int, err error) {
	args := []string{"list", "-deps", "-f", "{{.Stale}} {{.StaleReason}}"}
	for i := 0; i < len(b.Args); i++ {
		if b.Args[i] == "-o" { // list knows all flags of build but this one
			i++
			continue
		}
		args = append(args, b.Args[i])
	}
	list := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the caller's arguments
	list.Dir = b.Dir
	out, err := list.Output()
	if err != nil {
		return 0, fmt.Errorf("list what is to be built: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "true ") && !strings.Contains(line, "available in build cache") {
			n++
		}
	}
	return n, nil
}
