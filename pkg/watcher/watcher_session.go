package watcher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

// minWatchTimeout is the shortest timeout of a watch that is requested. The
// timeout is up to twice as long, at random, so that not all watches end at
// once.
const minWatchTimeout = 5 * time.Minute

// session resumes the watch, or lists the resource. A streamed list continues
// as a watch. It returns nil if the API server ended the watch regularly.
func (w *Watcher) session(ctx context.Context) error {
	w.opened, w.progressed, w.listBegan, w.assumed = time.Time{}, false, false, false
	w.catchUp, w.release = nil, func() {}
	if w.rv == "" {
		w.release = w.server.Immediate()
		w.sink.ListRequested()
	}
	defer func() { w.release() }()
	conn, closeConn := w.connect(ctx)
	err := w.runSession(ctx, conn)
	w.resetCauses(err)
	if w.rv != "" && ctx.Err() == nil {
		w.sink.Pause()
	}
	timedOut := closeConn()
	if w.listing {
		w.listing = false
		w.sink.AbortList()
	}
	// The timeout explains the error, unless the sink failed.
	if _, failed := errors.AsType[*sinkError](err); err != nil && timedOut != nil && !failed {
		return timedOut
	}
	return err
}

// runSession lists pages if the server can't stream a list. Otherwise it
// watches, with or without the initial state.
func (w *Watcher) runSession(ctx context.Context, conn *connection) error {
	if w.rv == "" && w.usePages {
		return w.list(ctx, conn)
	}
	if w.useProbe {
		if err := w.probe(conn); err != nil {
			return err
		}
	}
	return w.watch(ctx, conn)
}

// probe requests a list of one object, to find out whether the API server has
// reached rv. After etcd was restored from a backup, rv may be newer. A watch
// from there would deliver neither events nor an error.
func (w *Watcher) probe(conn *connection) error {
	body, err := conn.get(url.Values{
		"limit":                {"1"},
		"resourceVersion":      {w.rv},
		"resourceVersionMatch": {string(metav1.ResourceVersionMatchNotOlderThan)},
	})
	if err != nil {
		return err
	}
	w.endOutage()
	w.useProbe, w.lagsSince = false, time.Time{}
	return body.Close()
}

// watch resumes from rv. Without an rv, the watch begins with the initial
// state.
func (w *Watcher) watch(ctx context.Context, conn *connection) error {
	body, err := conn.get(w.watchQuery())
	if err != nil {
		return err
	}
	defer body.Close()
	w.endOutage()
	if w.rv != "" {
		w.opened = time.Now()
		w.sink.Resume()
	}
	return w.read(ctx, conn, body)
}

// watchQuery returns the parameters of a watch from rv, or of one that begins
// with the initial state.
func (w *Watcher) watchQuery() url.Values {
	q := url.Values{
		"watch":               {"1"},
		"allowWatchBookmarks": {"true"},
		"timeoutSeconds":      {strconv.Itoa(int((minWatchTimeout + rand.N(minWatchTimeout)).Seconds()))},
	}
	if w.rv != "" {
		q.Set("resourceVersion", w.rv)
		return q
	}
	q.Set("sendInitialEvents", "true")
	q.Set("resourceVersionMatch", string(metav1.ResourceVersionMatchNotOlderThan))
	return q
}

// read handles the events of a watch until it ends. The stall timer runs only
// while it waits for the server, so a slow sink does not end the watch.
func (w *Watcher) read(ctx context.Context, conn *connection, body *apiserver.Body) error {
	lines := watchproto.NewLines(w.catchUpFrom(ctx, body), maxEventSize)
	for {
		conn.startTimer()
		line, err := lines.Next()
		conn.stopTimer()
		if err != nil {
			return w.watchEnded(ctx, err, lines.Whole(), body.Alive())
		}
		if err := w.handle(ctx, line); err != nil {
			return err
		}
	}
}

// watchEnded returns the error of a watch that ended with err, or nil if it
// ended regularly. whole reports whether it ended after a complete event. alive
// is when the server was last known to be alive.
//
// It calls [Sink.Alive], unless the watch ended within an event: the rest of
// that event may have happened before.
func (w *Watcher) watchEnded(ctx context.Context, err error, whole bool, alive time.Time) error {
	regular := errors.Is(err, io.EOF)
	switch {
	case regular && w.rv == "":
		return errIncomplete
	case w.rv != "" && whole && !alive.IsZero() && (regular || apiserver.IsNetworkError(err)):
		if failed := w.sink.Alive(ctx, alive); failed != nil {
			return asSinkError(failed)
		}
	}
	if regular {
		return nil
	}
	return fmt.Errorf("the watch was interrupted: %w", err)
}

// handle handles one line of a watch.
func (w *Watcher) handle(ctx context.Context, line []byte) error {
	e, err := watchproto.ParseEvent(line)
	if err != nil {
		return err
	}
	switch e.Type {
	case watchproto.Added:
		return w.observe(ctx, history.Added, e)
	case watchproto.Modified:
		return w.observe(ctx, history.Modified, e)
	case watchproto.Deleted:
		return w.observe(ctx, history.Deleted, e)
	case watchproto.Bookmark:
		return w.bookmark(ctx, e)
	case watchproto.Error:
		return apiserver.StatusError(e.Object)
	default:
		return fmt.Errorf("watch event has the unknown type %q", e.Type)
	}
}

// observe passes an event to the sink, and advances rv after it was accepted.
// During a list rv stays empty: the list is complete only at its end.
func (w *Watcher) observe(ctx context.Context, t history.WatchEventType, e watchproto.Event) error {
	if e.RV == "" {
		return errors.New("the object of a watch event has no resourceVersion")
	}
	if err := w.beginList(ctx); err != nil {
		return err
	}
	if err := w.observeObject(ctx, t, e.Object); err != nil {
		return err
	}
	if !w.listing {
		w.advance(e.RV)
	}
	return nil
}

// observeObject passes one object to the sink. It resets the causes, because
// the resource is observed again.
func (w *Watcher) observeObject(ctx context.Context, t history.WatchEventType, object []byte) error {
	w.causes.Reset()
	return asObserveError(w.sink.Observe(ctx, history.WatchEvent{Type: t, Object: object}))
}

// advance moves rv forward. Events that the server repeats do not move it back,
// because a watch from there would repeat the later ones too.
func (w *Watcher) advance(rv string) {
	if rv != w.rv && !history.Older(rv, w.rv) {
		w.rv, w.progressed = rv, true
	}
}

// bookmark handles a bookmark. It ignores one without a resourceVersion, and an
// old one of a server that lags.
func (w *Watcher) bookmark(ctx context.Context, e watchproto.Event) error {
	switch {
	case w.rv == "":
		return w.initialBookmark(ctx, e)
	case e.RV == "", history.Older(e.RV, w.rv):
		w.log.DebugContext(ctx, "bookmark ignored", "rv", e.RV, "current", w.rv)
		return nil
	}
	w.causes.Reset()
	if err := w.sink.Bookmark(ctx, e.RV); err != nil {
		return asSinkError(err)
	}
	w.advance(e.RV)
	return nil
}

// initialBookmark ends the list if the bookmark marks the end of the initial
// state.
func (w *Watcher) initialBookmark(ctx context.Context, e watchproto.Event) error {
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal(e.Object, &o); err != nil {
		return fmt.Errorf("decode bookmark: %w", err)
	}
	if o.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		return nil
	}
	if e.RV == "" {
		return fmt.Errorf("%w: the bookmark at its end has no resourceVersion", errIncomplete)
	}
	if err := w.beginList(ctx); err != nil {
		return err
	}
	return w.endList(ctx, e.RV)
}

// connection sends the requests of one session, and cancels them if the API
// server is silent for too long while the watcher waits for it. The calls of
// the sink are not bound by these timeouts.
type connection struct {
	send         func(url.Values) (*apiserver.Body, error)
	cancel       func(cause error)
	answerWithin time.Duration // from the request to the beginning of the answer
	stallAfter   time.Duration // between two parts of the answer
	timer        *time.Timer   // of stallAfter
}

// connect returns the connection of a session, and how to close it. closeConn
// returns the timeout that canceled the connection, or nil if none did.
func (w *Watcher) connect(ctx context.Context) (conn *connection, closeConn func() error) {
	ctx, cancel := context.WithCancelCause(ctx)
	conn = &connection{cancel: cancel, answerWithin: w.opts.StallAfter, stallAfter: w.opts.StallAfter}
	if w.rv != "" { // a list may keep the server busy before it answers, a watch does not
		conn.answerWithin = min(conn.answerWithin, w.opts.AnswerWithin)
	}
	conn.timer = time.AfterFunc(conn.stallAfter, func() { cancel(errStalled) })
	conn.timer.Stop()
	conn.send = func(query url.Values) (*apiserver.Body, error) {
		return w.server.Get(ctx, w.path(), query)
	}
	return conn, func() error {
		conn.timer.Stop()
		cause := context.Cause(ctx)
		cancel(nil)
		if errors.Is(cause, errStalled) || errors.Is(cause, errNoAnswer) {
			return cause
		}
		return nil
	}
}

// path returns the URL path of the objects that are watched.
func (w *Watcher) path() string {
	if !w.resource.Namespaced {
		return w.resource.Path("", "")
	}
	return w.resource.Path(w.opts.Namespace, "")
}

// get requests the resource. The caller closes the body.
func (c *connection) get(query url.Values) (*apiserver.Body, error) {
	noAnswer := time.AfterFunc(c.answerWithin, func() { c.cancel(errNoAnswer) })
	defer noAnswer.Stop()
	return c.send(query)
}

// startTimer begins to wait for the API server.
func (c *connection) startTimer() { c.timer.Reset(c.stallAfter) }

// stopTimer ends the waiting for the API server.
func (c *connection) stopTimer() { c.timer.Stop() }
