package watcher

import (
	"context"
	"io"
	"time"
)

// The server sends what happened since a resourceVersion in one go, and does not say where that ends and the present begins. It
// has ended when nothing has come for a while, or, on a watch that never pauses, some time after it was opened: no
// server keeps more of the past than can be read in that. Until then the
// connection is read without beats.
const (
	lull        = 75 * time.Millisecond
	mostBacklog = 10 * time.Second
)

// backlog reads a watch, and calls end once what the server had in stock is read. That is either while a read waits, and the read
// does not return before end has, or between two reads: never beside anything else that the reader's goroutine does.
type backlog struct {
	io.Reader

	opened time.Time
	end    func() error // nil: it was called, or is not known yet
}

// begin lets end be called once what comes from now on pauses.
func (b *backlog) begin(end func() error) { b.opened, b.end = time.Now(), end }

// Read implements [io.Reader].
func (b *backlog) Read(p []byte) (int, error) {
	if b.end == nil {
		return b.Reader.Read(p) //nolint:wrapcheck // it stands for the watch
	}
	if time.Since(b.opened) > mostBacklog {
		if err := b.finish(); err != nil {
			return 0, err
		}
	}
	over := make(chan error, 1)
	quiet := time.AfterFunc(lull, func() { over <- b.finish() })
	n, err := b.Reader.Read(p)
	if !quiet.Stop() {
		if failed := <-over; failed != nil {
			return 0, failed
		}
	}
	return n, err //nolint:wrapcheck // it stands for the watch
}

func (b *backlog) finish() error {
	end := b.end
	b.end = nil
	return end()
}

// catchUp returns what to read of a watch. One that goes on from an earlier one observes the resource only when what happened in
// between is recorded. What comes after an initial state may be as old as that.
func (w *Watcher) catchUp(ctx context.Context, body io.Reader) io.Reader {
	w.backlog = &backlog{Reader: body}
	if w.rv == "" {
		return w.backlog
	}
	w.relax = w.server.Hurry()
	w.backlog.begin(func() error {
		defer w.relax()
		if err := w.sink.CaughtUp(ctx); err != nil {
			return sinkFailure(err)
		}
		w.enter(Change{State: Watching})
		return nil
	})
	return w.backlog
}
