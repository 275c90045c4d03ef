package watcher

import (
	"context"
	"errors"
	"fmt"
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
	// named says that the configuration names the resource. A refusal of any
	// other is nobody's mistake.
	named bool

	// All that follows belongs to Run's goroutine.

	rv       string    // everything up to it was observed; "": nothing was, or it is too old to go on from
	former   string    // what rv was before a sync that is due only because watches from it ended at once; "": none
	syncing  bool      // between BeginList and its end
	paged    bool      // the next sync lists pages: the server does not stream
	whole    bool      // the next list is one page: pages expire faster than they are read
	suspect  bool      // rv may lie in the server's future, which has to be asked before a watch hides it
	opened   time.Time // when this session's watch was opened; zero: it was not
	began    bool      // this session began a sync
	moved    bool      // this session took something that need not be taken again
	backlog  *backlog  // what this session's watch is read through; nil: there is none
	relax    func()    // ends the hurry of a sync
	state    Change
	pace     backoffs
	waitsFor string    // the cause that the last session failed for, as in recovery; "": none that others share
	recovery *recovery // shared with other watchers of the server

	empty    int       // watches in a row that ended at once and brought nothing
	behind   time.Time // since when the server has not known rv yet; zero: it does
	relisted time.Time // when everything had to be observed anew the last time
	relists  backoff   // between such times
}

// New returns a watcher that feeds the resource to the sink. It does not connect.
func New(cfg *rest.Config, r history.Resource, sink Sink, opts Options) (*Watcher, error) {
	server, err := apiserver.New(cfg)
	if err != nil {
		return nil, err
	}
	w := newWatcher(server, newRecovery(), r, sink, opts)
	w.named = true
	return w, nil
}

func newWatcher(server *apiserver.Client, shared *recovery, r history.Resource, sink Sink, opts Options) *Watcher {
	opts = opts.withDefaults()
	return &Watcher{
		server:   server,
		resource: r,
		sink:     sink,
		opts:     opts,
		log:      opts.Logger.With("resource", r.GroupResource().String()),
		pace:     newBackoffs(opts.RetryAfter),
		relists:  newBackoff(opts.RetryAfter),
		recovery: shared,
	}
}

// Run watches until ctx is done, and then returns nil, or until the sink fails, and then returns the sink's error.
// Everything else is retried. Run must be called once.
func (w *Watcher) Run(ctx context.Context) error {
	w.rv = w.sink.Checkpoint()
	for {
		err := w.session(ctx)
		if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
			return nil
		}
		if failed, ok := errors.AsType[*sinkError](err); ok {
			return failed.err
		}
		if !w.recovery.sleep(ctx, w.settle(err), w.pace[unreachable].shortest, w.waitsFor) {
			return nil
		}
	}
}

const (
	// worthwhile is how long a watch has to last to be worth opening another
	// one at once, even if it brought nothing.
	worthwhile = time.Second
	// mostEmpty is how many watches in a row may end at once and bring
	// nothing. Servers were seen that answer so to a stale resourceVersion.
	mostEmpty = 3
	// unasked is how many times longer than a configured resource one that is
	// not named waits to be permitted. With a narrow role there are dozens.
	unasked = 4
)

// settle draws the conclusions from how a session ended, and returns how long to wait before the next.
func (w *Watcher) settle(err error) time.Duration {
	lasted := !w.opened.IsZero() && time.Since(w.opened) >= worthwhile
	if w.moved || lasted {
		w.pace.reset()
		w.empty, w.behind = 0, time.Time{}
	}
	switch {
	case err == nil && lasted:
		return 0
	case err == nil && w.moved:
		return w.pace[unreachable].shortest
	case err == nil:
		err = errAtOnce
		if w.empty++; w.empty > mostEmpty {
			w.former = w.rv
			return w.relist(fmt.Errorf("%w, %d times in a row", err, w.empty))
		}
	case w.rv != "" && ahead(err) && w.lags():
		w.suspect = true
		w.enter(lagging(w.rv, err))
		return w.pace.next(err)
	case w.rv != "" && (expired(err) || ahead(err) || malformed(err)):
		return w.relist(err)
	case w.rv == "" && !w.paged && rejectsStreaming(err):
		w.log.Debug("streaming the initial state failed, listing pages", "err", err)
		w.paged = true
		return w.pace.next(err)
	case errors.Is(err, errStalled) && w.state.State == Watching && !w.suspect:
		w.log.Debug("watch stalled", "rv", w.rv)
		w.suspect = true
		return 0
	}
	return w.fail(err, lasted)
}

// lags reports whether a server that does not know rv yet may still come to.
func (w *Watcher) lags() bool {
	if w.behind.IsZero() {
		w.behind = time.Now()
	}
	return time.Since(w.behind) < w.opts.CatchUpWithin
}

// relist lets everything be observed anew: at once, since the server has
// answered, unless it came to that a moment ago, too.
func (w *Watcher) relist(err error) time.Duration {
	w.log.Debug("relisting", "rv", w.rv, "err", err)
	w.enter(outdated(w.rv, err))
	w.rv, w.suspect, w.empty, w.behind = "", false, 0, time.Time{}
	w.pace[unreachable].reset()
	before := w.relisted
	w.relisted = time.Now()
	if w.relisted.Sub(before) > 2*w.opts.RetryAfter {
		w.relists.reset()
		return 0
	}
	return w.relists.next(err)
}

// fail takes a session for failed, and returns how long to wait.
func (w *Watcher) fail(err error, lasted bool) time.Duration {
	if w.rv == "" && !w.began && w.former != "" { // the sink still has its checkpoint
		w.rv, w.former = w.former, ""
	}
	c := waiting(w.resource, err)
	if w.rv != "" && w.opened.IsZero() && !c.Refused && !apierrors.IsTooManyRequests(err) {
		w.suspect = true // the server is away, and may come back from a backup
	}
	w.enter(c)
	w.waitFor(err)
	switch {
	case lasted:
		return 0
	case c.Refused && c.Cause == history.GapForbidden && !w.named:
		return unasked * w.pace.next(err)
	default:
		return w.pace.next(err)
	}
}

// waitFor notes what the watcher waits for to pass. An answer, even of an
// error, shows that the server can be reached.
func (w *Watcher) waitFor(err error) {
	k := kindOf(err)
	if w.waitsFor == unreachableCause && k != unreachable && k != garbled {
		w.recovered()
	}
	switch k {
	case unreachable:
		w.waitsFor = unreachableCause
	case failing:
		w.waitsFor = err.Error()
	}
}

// recovered lets those go on at once that waited for the same as this watcher.
func (w *Watcher) recovered() {
	if w.waitsFor != "" {
		w.recovery.over(w.waitsFor)
		w.waitsFor = ""
	}
}

// enter reports a change of state. The resource's own log is for debugging: a
// set logs what many of its resources have in common.
func (w *Watcher) enter(c Change) {
	c.Resource = w.resource
	before := w.state
	if c.State == before.State && c.Reason == before.Reason {
		return
	}
	w.state = c
	w.opts.OnChange(c)
	w.log.Debug("state changed", "state", c.State.String(), "rv", w.rv, "reason", c.Reason)
}
