package watcher

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"
)

// link is the connection of one session. It is cut when the server, while it is awaited, brings nothing for too long.
// The sink's calls are not bound to it: they take as long as they take.
type link struct {
	open  func(url.Values) (io.ReadCloser, error)
	timer *time.Timer
	limit time.Duration
}

// dial returns the link of a session, and how to end it, which tells whether it had stalled.
func (w *Watcher) dial(ctx context.Context) (*link, func() bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &link{limit: w.opts.StallAfter}
	l.timer = time.AfterFunc(l.limit, func() { cancel(errStalled) })
	l.open = func(query url.Values) (io.ReadCloser, error) {
		return w.server.Get(ctx, w.resource.Path("", ""), query)
	}
	return l, func() bool {
		l.timer.Stop()
		stalled := errors.Is(context.Cause(ctx), errStalled)
		cancel(nil)
		return stalled
	}
}

// get opens one of the resource's answers; the caller closes it.
func (l *link) get(query url.Values) (io.ReadCloser, error) {
	l.await()
	defer l.arrived()
	return l.open(query)
}

// await begins to count the time that the server takes.
func (l *link) await() { l.timer.Reset(l.limit) }

// arrived ends it.
func (l *link) arrived() { l.timer.Stop() }
