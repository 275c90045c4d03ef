package watcher

import (
	"context"
	"errors"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// Watcher lists and watches one resource.
type Watcher struct {
	server   *apiserver.Client
	resource history.Resource
	sink     Sink
	opts     Options
	log      *slog.Logger

	// All that follows belongs to Run's goroutine.

	rv       string // everything up to it was observed; "": nothing was, or it is too old to go on from
	syncing  bool   // between BeginSync and its end
	paged    bool   // the next sync lists pages: the server does not stream
	whole    bool   // the next list is one page: pages expire faster than they are read
	suspect  bool   // rv may lie in the server's future, which has to be asked before a watch hides it
	answered bool   // this session's watch was opened
	moved    bool   // this session took something that need not be taken again
	relax    func() // ends the hurry of a sync
	state    Change
	backoff  backoff
}

// New returns a watcher that feeds the resource to the sink. It does not connect.
func New(cfg *rest.Config, r history.Resource, sink Sink, opts Options) (*Watcher, error) {
	server, err := apiserver.New(cfg)
	if err != nil {
		return nil, err
	}
	return newWatcher(server, r, sink, opts), nil
}

func newWatcher(server *apiserver.Client, r history.Resource, sink Sink, opts Options) *Watcher {
	opts = opts.withDefaults()
	return &Watcher{
		server:   server,
		resource: r,
		sink:     sink,
		opts:     opts,
		log:      opts.Logger.With("resource", r.GroupResource().String()),
		backoff:  newBackoff(opts.RetryAfter),
	}
}

// Run watches until ctx is done, and then returns nil, or until the sink fails, and then returns the sink's error.
// Everything else is retried. Run must be called once.
func (w *Watcher) Run(ctx context.Context) error {
	w.rv = w.sink.Checkpoint()
	for {
		started := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
			return nil
		}
		if failed, ok := errors.AsType[*sinkError](err); ok {
			return failed.err
		}
		if !sleep(ctx, w.settle(err, time.Since(started))) {
			return nil
		}
	}
}

// settle draws the conclusions from how a session ended, and returns how long to wait before the next.
func (w *Watcher) settle(err error, lasted time.Duration) time.Duration {
	if w.moved {
		w.backoff.reset()
	}
	switch {
	case err == nil && (w.moved || lasted > w.backoff.shortest):
		return 0
	case err == nil:
		err = errAtOnce
	case expired(err) || w.rv != "" && malformed(err):
		w.log.Info("everything has to be observed anew", "rv", w.rv, "err", err)
		if w.rv != "" {
			w.enter(outdated(w.rv, err))
		}
		w.rv, w.suspect = "", false
		return w.backoff.next(err)
	case w.rv == "" && !w.paged && rejectsStreaming(err):
		w.log.Info("initial state can't be streamed", "err", err)
		w.paged = true
		return w.backoff.next(err)
	case errors.Is(err, errStalled) && w.state.State == Watching && !w.suspect:
		w.log.Debug("watch stalled", "rv", w.rv)
		w.suspect = true
		return w.backoff.next(err)
	}
	c := waiting(w.resource, err)
	if w.rv != "" && !w.answered && !c.Refused && !apierrors.IsTooManyRequests(err) {
		w.suspect = true // the server is away, and may come back from a backup
	}
	w.enter(c)
	return w.backoff.next(err)
}

// enter reports a change of state, and logs it where more than the reason changed.
func (w *Watcher) enter(c Change) {
	c.Resource = w.resource
	before := w.state
	if c.State == before.State && c.Reason == before.Reason {
		return
	}
	w.state = c
	w.opts.OnChange(c)
	switch {
	case c.State == before.State && c.Refused == before.Refused && before.Reason != "":
	case c.State == Waiting:
		w.log.Warn("waiting for resource", "reason", c.Reason)
	case c.State == Syncing:
		w.log.Debug("observing what exists")
	default:
		w.log.Info("resource is observed", "rv", w.rv)
	}
}

// sleep tells whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
