package clustertest

import (
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Logbook keeps a log for a test to search, and writes it to the test's output.
// It is safe for concurrent use.
type Logbook struct {
	out io.Writer

	mu   sync.Mutex // guards text
	text strings.Builder
}

// NewLogbook returns an empty log of a test.
func NewLogbook(tb testing.TB) *Logbook {
	tb.Helper()
	return &Logbook{out: tb.Output()}
}

// Write implements [io.Writer].
func (l *Logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	return l.out.Write(p) //nolint:wrapcheck // as io.Writer
}

// Bytes returns the whole log.
func (l *Logbook) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return []byte(l.text.String())
}

// Count returns the number of lines that contain all parts.
func (l *Logbook) Count(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			n++
		}
	}
	return n
}
