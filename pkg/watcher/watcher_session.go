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

// minWatch is how long the server is asked to let a watch last; up to twice that, so that not all end at once.
const minWatch = 5 * time.Minute

// session does what is to be done next: it resumes the watch, or syncs, where streaming goes over into the watch. It
// returns nil where the server ended the watch in an orderly way.
func (w *Watcher) session(ctx context.Context) error {
	w.opened, w.moved, w.began, w.backlog, w.relax = time.Time{}, false, false, nil, func() {}
	if w.rv == "" {
		w.relax = w.server.Hurry()
		w.sink.ListRequested()
	}
	defer func() { w.relax() }()
	l, hangUp := w.dial(ctx)
	err := w.step(ctx, l)
	if w.rv != "" && ctx.Err() == nil {
		w.sink.Pause()
	}
	cut := hangUp()
	if w.syncing {
		w.syncing = false
		w.sink.AbortList()
	}
	if _, failed := errors.AsType[*sinkError](err); err != nil && cut != nil && !failed {
		return cut
	}
	return err
}

func (w *Watcher) step(ctx context.Context, l *link) error {
	if w.rv == "" && w.paged {
		return w.list(ctx, l)
	}
	if w.suspect {
		if err := w.probe(l); err != nil {
			return err
		}
	}
	return w.watch(ctx, l)
}

// probe asks whether the server knows the resourceVersion to go on from. A watch from one that lies in the future, after
// etcd was restored from a backup, brings nothing and no error.
func (w *Watcher) probe(l *link) error {
	body, err := l.get(url.Values{
		"limit":                {"1"},
		"resourceVersion":      {w.rv},
		"resourceVersionMatch": {string(metav1.ResourceVersionMatchNotOlderThan)},
	})
	if err != nil {
		return err
	}
	w.recovered()
	w.suspect, w.behind = false, time.Time{}
	return body.Close()
}

// watch resumes from the resourceVersion that was reached, or from none with the initial state in front.
func (w *Watcher) watch(ctx context.Context, l *link) error {
	body, err := l.get(w.watchQuery())
	if err != nil {
		return err
	}
	defer body.Close()
	w.recovered()
	if w.rv != "" {
		w.opened = time.Now()
		w.sink.Resume()
	}
	return w.read(ctx, l, body)
}

// read takes the events of a watch until it ends.
func (w *Watcher) read(ctx context.Context, l *link, body *apiserver.Body) error {
	lines := watchproto.NewLines(w.catchUp(ctx, body), maxLine)
	for {
		l.await()
		line, err := lines.Next()
		l.arrived()
		if err != nil {
			return w.ended(ctx, err, lines.Whole(), body.Alive())
		}
		if err := w.take(ctx, line); err != nil {
			return err
		}
	}
}

// ended returns what the end of a watch means. The sink learns until when the
// watch was alive, unless it ended within an event: that may be an old one.
func (w *Watcher) ended(ctx context.Context, err error, whole bool, alive time.Time) error {
	over := errors.Is(err, io.EOF)
	switch {
	case over && w.rv == "":
		return errCutShort
	case w.rv != "" && whole && !alive.IsZero() && (over || apiserver.IsNetworkError(err)):
		if failed := w.sink.Alive(ctx, alive); failed != nil {
			return sinkFailure(failed)
		}
	}
	if over {
		return nil
	}
	return fmt.Errorf("the watch broke off: %w", err)
}

func (w *Watcher) watchQuery() url.Values {
	q := url.Values{
		"watch":               {"1"},
		"allowWatchBookmarks": {"true"},
		"timeoutSeconds":      {strconv.Itoa(int((minWatch + rand.N(minWatch)).Seconds()))},
	}
	if w.rv != "" {
		q.Set("resourceVersion", w.rv)
		return q
	}
	q.Set("sendInitialEvents", "true")
	q.Set("resourceVersionMatch", string(metav1.ResourceVersionMatchNotOlderThan))
	return q
}

func (w *Watcher) take(ctx context.Context, line []byte) error {
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
		return fmt.Errorf("watch event of the unknown type %q", e.Type)
	}
}

func (w *Watcher) observe(ctx context.Context, t history.WatchEventType, e watchproto.Event) error {
	if e.RV == "" {
		return errors.New("watch event whose object has no resourceVersion")
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	if err := w.sink.Observe(ctx, history.WatchEvent{Type: t, Object: e.Object}); err != nil {
		return observing(err)
	}
	if !w.syncing {
		w.advance(e.RV)
	}
	return nil
}

// advance moves on to a resourceVersion. What the server repeats does not lead
// back: a watch from there would repeat what came after it, too.
func (w *Watcher) advance(rv string) {
	if rv != w.rv && !history.Older(rv, w.rv) {
		w.rv, w.moved = rv, true
	}
}

// bookmark takes a bookmark. One without a resourceVersion says nothing, and
// neither does one of a server that lags behind.
func (w *Watcher) bookmark(ctx context.Context, e watchproto.Event) error {
	switch {
	case w.rv == "":
		return w.initialBookmark(ctx, e)
	case e.RV == "", history.Older(e.RV, w.rv):
		w.log.DebugContext(ctx, "bookmark ignored", "rv", e.RV, "reached", w.rv)
		return nil
	}
	if err := w.sink.Bookmark(ctx, e.RV); err != nil {
		return sinkFailure(err)
	}
	w.advance(e.RV)
	return nil
}

// initialBookmark ends the initial state, if the bookmark says so.
func (w *Watcher) initialBookmark(ctx context.Context, e watchproto.Event) error {
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal(e.Object, &o); err != nil {
		return fmt.Errorf("bookmark: %w", err)
	}
	if o.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		return nil
	}
	if e.RV == "" {
		return fmt.Errorf("%w: the bookmark of its end has no resourceVersion", errCutShort)
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	return w.end(ctx, e.RV)
}
