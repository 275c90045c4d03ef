package watcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// Watcher lists and watches one resource.
//
// It runs sessions, one after the other. A session resumes the watch, or lists
// the resource and then watches it. [Watcher.afterSession] decides what the
// next session does, and how long to wait before it.
type Watcher struct {
	server   *apiserver.Client
	resource history.Resource
	sink     Sink
	opts     Options
	log      *slog.Logger
	outages  *outages // shared with other watchers of the server
	// named means that the configuration names the resource. A refusal of any
	// other resource is not an error of the configuration.
	named bool
	// causes are those for which the resource was not observed since the last
	// event. The watchers that follow each other on a sink share them.
	causes *gap.Causes

	// Run's goroutine owns all fields below.

	rv            string // everything up to it was observed; "" if a list is due
	state         Change // as last reported
	backoffs      backoffs
	waitsFor      string    // the outage that the last session failed for; "" if it is not shared
	useProbe      bool      // rv may be newer than the server's, which a watch would not report
	usePages      bool      // the next list uses pages, because the server can't stream
	useSinglePage bool      // the next list is a single page, because pages failed
	listing       bool      // between BeginList and EndList or AbortList
	lagsSince     time.Time // since when the server has not reached rv; zero if it has

	// emptyWatches counts the watches in a row that ended at once without an
	// event. If there were too many, a list is due, and resumable is the rv
	// from before. The watch resumes from there if the list fails before it
	// begins.
	emptyWatches int
	resumable    string

	relisted      time.Time // when the watch could not be resumed for the last time
	relistBackoff backoff

	// The fields below belong to the current session, and are reset by it.

	opened     time.Time      // when the watch was opened; zero if it was not
	listBegan  bool           // BeginList was called
	progressed bool           // something was observed that is not requested again
	catchUp    *catchUpReader // reads the watch; nil if there is none
	assumed    bool           // after a pause, the watcher assumed that it had caught up
	release    func()         // ends the immediate reading of connections
}

// New returns a watcher that feeds the resource to the sink. It does not
// connect.
func New(cfg *rest.Config, r history.Resource, sink Sink, opts Options) (*Watcher, error) {
	server, err := apiserver.New(cfg)
	if err != nil {
		return nil, err
	}
	w := newWatcher(server, newOutages(), r, sink, opts)
	w.named = true
	return w, nil
}

// newWatcher returns a watcher that shares the server and its outages with
// others.
func newWatcher(server *apiserver.Client, shared *outages, r history.Resource, sink Sink, opts Options) *Watcher {
	opts = opts.withDefaults()
	return &Watcher{
		server:        server,
		resource:      r,
		sink:          sink,
		opts:          opts,
		log:           opts.Logger.With("resource", r.GroupResource().String()),
		outages:       shared,
		causes:        &gap.Causes{},
		backoffs:      newBackoffs(opts.RetryAfter),
		relistBackoff: newBackoff(opts.RetryAfter),
	}
}

// Run watches until ctx is done or the sink fails. It returns nil or the sink's
// error. All other errors are retried. Run must be called once.
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
		if !w.outages.sleep(ctx, w.afterSession(err), w.backoffs[unreachable].shortest, w.waitsFor) {
			return nil
		}
	}
}

const (
	// minLasted is how long a watch has to last so that the next one is opened
	// at once, even if it delivered nothing.
	minLasted = time.Second
	// maxEmptyWatches is how many watches in a row may end at once and deliver
	// nothing. Some servers answer so to an outdated resourceVersion.
	maxEmptyWatches = 3
	// unnamedDelay multiplies the delay of a discovered resource that is not
	// permitted. A narrow role leaves out dozens of them.
	unnamedDelay = 4
)

// afterSession prepares the next session, given the error of the last one. It
// returns how long to wait before it.
func (w *Watcher) afterSession(err error) time.Duration {
	lasted := !w.opened.IsZero() && time.Since(w.opened) >= minLasted
	if w.progressed || lasted {
		w.backoffs.reset()
		w.emptyWatches, w.lagsSince = 0, time.Time{}
	}
	switch {
	case err == nil && lasted: // servers end each watch after some minutes
		return 0
	case err == nil && w.progressed: // the server ends watches early: wait a moment
		return w.backoffs[unreachable].shortest
	case err == nil:
		err = errEndedEarly
		if w.emptyWatches++; w.emptyWatches > maxEmptyWatches {
			w.resumable = w.rv
			return w.relist(fmt.Errorf("%w, %d times in a row", err, w.emptyWatches))
		}
	case w.rv != "" && isTooLarge(err) && w.mayLag(): // a replica may lag for a moment
		w.useProbe = true
		w.setState(lagging(w.rv, err))
		return w.backoffs.next(err)
	case w.rv != "" && (isExpired(err) || isTooLarge(err) || isMalformed(err)):
		return w.relist(err)
	case w.rv == "" && !w.usePages && rejectsStreaming(err):
		w.log.Debug("streaming the initial state failed, listing pages", "err", err)
		w.usePages = true
		return w.backoffs.next(err)
	case errors.Is(err, errStalled) && w.state.State == Watching && !w.useProbe:
		// A quiet resource looks the same, so the state does not change yet.
		w.log.Debug("watch stalled", "rv", w.rv)
		w.useProbe = true
		return 0
	}
	return w.retry(err, lasted)
}

// mayLag reports whether a server that has not reached rv may still catch up.
// The first call starts the time of [Options.CatchUpWithin].
func (w *Watcher) mayLag() bool {
	if w.lagsSince.IsZero() {
		w.lagsSince = time.Now()
	}
	return time.Since(w.lagsSince) < w.opts.CatchUpWithin
}

// relist makes the next session list the resource. It returns no delay, because
// the server has answered, unless the last relist was a moment ago.
func (w *Watcher) relist(err error) time.Duration {
	w.log.Debug("relisting", "rv", w.rv, "err", err)
	w.setState(outdated(w.rv, err))
	w.rv, w.useProbe, w.emptyWatches, w.lagsSince = "", false, 0, time.Time{}
	w.backoffs[unreachable].reset()
	before := w.relisted
	w.relisted = time.Now()
	if w.relisted.Sub(before) > 2*w.opts.RetryAfter {
		w.relistBackoff.reset()
		return 0
	}
	return w.relistBackoff.next(err)
}

// retry reports a failed session, and returns how long to wait. lasted reports
// whether its watch lasted.
//
// After too many empty watches a list is due. If that list fails before it
// begins, the next session resumes the watch again.
func (w *Watcher) retry(err error, lasted bool) time.Duration {
	if w.rv == "" && !w.listBegan && w.resumable != "" { // the sink still has its checkpoint
		w.rv, w.resumable = w.resumable, ""
	}
	c := waiting(w.resource, err)
	if w.rv != "" && w.opened.IsZero() && !c.Refused && !apierrors.IsTooManyRequests(err) {
		w.useProbe = true // the server may come back from a backup
	}
	w.setState(c)
	w.noteOutage(err)
	switch {
	case lasted:
		return 0
	case c.Refused && c.Reason == history.GapForbidden && !w.named:
		return unnamedDelay * w.backoffs.next(err)
	default:
		return w.backoffs.next(err)
	}
}

// noteOutage sets the outage that the watcher waits for. Any answer, even an
// error, means that the server can be reached again.
func (w *Watcher) noteOutage(err error) {
	c := errorClassOf(err)
	if w.waitsFor == unreachableOutage && c != unreachable && c != unusable {
		w.endOutage()
	}
	switch c {
	case unreachable:
		w.waitsFor = unreachableOutage
	case failing:
		w.waitsFor = err.Error()
	}
}

// endOutage wakes the watchers that wait for the end of the same outage.
func (w *Watcher) endOutage() {
	if w.waitsFor != "" {
		w.outages.end(w.waitsFor)
		w.waitsFor = ""
	}
}

// setState reports a change of state. The resource's own log is for debugging,
// because a set logs causes that many of its resources share.
//
// A repeated state is not reported. Its cause still counts: something may have
// been observed since the state was reported, which resets the causes.
func (w *Watcher) setState(c Change) {
	if c.Failed() {
		w.causes.Add(c.Cause)
	}
	c.Resource = w.resource
	before := w.state
	if c.State == before.State && c.Detail == before.Detail {
		return
	}
	w.state = c
	w.opts.OnChange(c)
	w.log.Debug("state changed", "state", c.State.String(), "rv", w.rv, "reason", c.Reason, "detail", c.Detail)
}
