package watcher

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// link is the connection of one session. It is cut when the server, while it is awaited, brings nothing for too long.
// The sink's calls are not bound to it: they take as long as they take.
type link struct {
	open  func(url.Values) (*apiserver.Body, error)
	cut   func(cause error)
	first time.Duration // how long an answer may take to begin
	limit time.Duration // how long it may pause then
	timer *time.Timer   // of the limit
}

// dial returns the link of a session, and how to end it. That returns why the
// link was cut, nil if it was not.
func (w *Watcher) dial(ctx context.Context) (*link, func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &link{cut: cancel, first: w.opts.StallAfter, limit: w.opts.StallAfter}
	if w.rv != "" { // a list takes the server time, a watch does not
		l.first = min(l.first, w.opts.AnswerWithin)
	}
	l.timer = time.AfterFunc(l.limit, func() { cancel(errStalled) })
	l.timer.Stop()
	l.open = func(query url.Values) (*apiserver.Body, error) {
		return w.server.Get(ctx, w.resource.Path("", ""), query)
	}
	return l, func() error {
		l.timer.Stop()
		cause := context.Cause(ctx)
		cancel(nil)
		if errors.Is(cause, errStalled) || errors.Is(cause, errSilent) {
			return cause
		}
		return nil
	}
}

// get opens one of the resource's answers; the caller closes it.
func (l *link) get(query url.Values) (*apiserver.Body, error) {
	silent := time.AfterFunc(l.first, func() { l.cut(errSilent) })
	defer silent.Stop()
	return l.open(query)
}

// await begins to count the time that the server takes.
func (l *link) await() { l.timer.Reset(l.limit) }

// arrived ends it.
func (l *link) arrived() { l.timer.Stop() }
