// Package gobuild runs "go build" and shows its progress. A build that takes
// minutes and prints nothing looks like one that hangs.
//
// It owns only the progress. Everything else that go prints is passed on. It
// asks go for the number of stale packages only after the build has run for a
// while, so that a build that is up to date costs nothing.
//
// It is internal to watchhistory: its API changes without notice.
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

// Build describes a build and how to show its progress. Durations that are 0
// mean the defaults.
type Build struct {
	Name string    // shown to the user
	Dir  string    // the module's directory
	Args []string  // of "go build"; may contain -o FILE
	Out  io.Writer // for progress and go's messages
	// Terminal means that Out is a terminal, on which one line is rewritten.
	// Otherwise a new line is written each time.
	Terminal bool
	// After is how long a build runs before progress is shown. Default: 3 s.
	After time.Duration
	// Every is the time between two lines. Default: 1 s on a terminal,
	// otherwise 30 s.
	Every time.Duration
}

// IsTerminal reports whether the file is a terminal whose lines can be
// rewritten.
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

// Run runs the build and returns when it has ended. It writes go's messages to
// Out. When ctx ends, it interrupts go and returns an error.
func Run(ctx context.Context, b Build) error {
	b = b.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-v"}, b.Args...)...) //nolint:gosec // the caller's arguments
	cmd.Dir = b.Dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that go removes its temporary files
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("build %s: %w", b.Name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("build %s: %w", b.Name, err)
	}
	s := &screen{build: b, progress: progress{name: b.Name, start: time.Now()}}
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

// screen shows the progress of a build. It is safe for concurrent use.
type screen struct {
	build Build

	mu       sync.Mutex // guards progress, shown and build.Out
	progress progress
	shown    bool // whether the terminal shows a line that must be erased
}

// read reads the output of go to its end.
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

// show writes the progress until ctx ends, if the build runs long enough.
func (s *screen) show(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(s.build.After):
	}
	var counting sync.WaitGroup
	defer counting.Wait()
	counting.Go(func() { s.count(ctx) })
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

// count sets the total number of packages to build.
func (s *screen) count(ctx context.Context) {
	s.mu.Lock()
	before := s.progress.started
	s.mu.Unlock()
	stale, err := stale(ctx, s.build)
	if err != nil {
		return // the build will report the cause
	}
	s.mu.Lock()
	s.progress.total = before + stale
	s.mu.Unlock()
	s.write()
}

// write writes the current progress.
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

// clear erases the line from the terminal.
func (s *screen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// erase is clear for callers that hold mu.
func (s *screen) erase() {
	if s.shown {
		_, _ = io.WriteString(s.build.Out, "\r\x1b[K")
		s.shown = false
	}
}

// stale returns the number of packages that go must build. It includes packages
// that depend on one of them, although go may find their results in its cache.
func stale(ctx context.Context, b Build) (n int, err error) {
	args := []string{"list", "-deps", "-f", "{{.Stale}} {{.StaleReason}}"}
	for i := 0; i < len(b.Args); i++ {
		if b.Args[i] == "-o" { // the only flag of build that list rejects
			i++
			continue
		}
		args = append(args, b.Args[i])
	}
	list := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the caller's arguments
	list.Dir = b.Dir
	out, err := list.Output()
	if err != nil {
		return 0, fmt.Errorf("list stale packages: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "true ") && !strings.Contains(line, "available in build cache") {
			n++
		}
	}
	return n, nil
}
