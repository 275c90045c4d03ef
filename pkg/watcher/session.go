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
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/wire"
)

// minWatch is how long the server is asked to let a watch last; up to twice that, so that not all end at once.
const minWatch = 5 * time.Minute

// session does what is to be done next: it resumes the watch, or syncs, where streaming goes over into the watch. It
// returns nil where the server ended the watch in an orderly way.
func (w *Watcher) session(ctx context.Context) error {
	w.answered, w.moved, w.relax = false, false, func() {}
	if w.rv == "" {
		w.relax = w.server.Hurry()
	}
	defer func() { w.relax() }()
	l, hangUp := w.dial(ctx)
	err := w.step(ctx, l)
	stalled := hangUp()
	if w.syncing {
		w.syncing = false
		w.sink.AbortSync()
	}
	if _, failed := errors.AsType[*sinkError](err); err != nil && stalled && !failed {
		return errStalled
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
	w.suspect = false
	return body.Close()
}

// watch resumes from the resourceVersion that was reached, or from none with the initial state in front.
func (w *Watcher) watch(ctx context.Context, l *link) error {
	body, err := l.get(w.watchQuery())
	if err != nil {
		return err
	}
	defer body.Close()
	w.answered = true
	if w.rv != "" {
		w.sink.Resume()
	} else if err := w.begin(ctx); err != nil {
		return err
	}
	lines := wire.NewLines(w.catchUp(ctx, body), maxLine)
	for {
		l.await()
		line, err := lines.Next()
		l.arrived()
		switch {
		case errors.Is(err, io.EOF) && w.syncing:
			return errCutShort
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the watch: %w", err)
		}
		if err := w.take(ctx, line); err != nil {
			return err
		}
	}
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
	e, err := wire.ParseEvent(line)
	if err != nil {
		return err
	}
	switch e.Type {
	case wire.Added:
		return w.observe(ctx, history.Added, e)
	case wire.Modified:
		return w.observe(ctx, history.Modified, e)
	case wire.Deleted:
		return w.observe(ctx, history.Deleted, e)
	case wire.Bookmark:
		return w.bookmark(ctx, e)
	case wire.Error:
		return apiserver.StatusError(e.Object)
	default:
		return fmt.Errorf("watch event of the unknown type %q", e.Type)
	}
}

func (w *Watcher) observe(ctx context.Context, t history.FrameType, e wire.Event) error {
	if e.RV == "" {
		return errors.New("watch event whose object has no resourceVersion")
	}
	if err := w.sink.Observe(ctx, history.Frame{Type: t, Object: e.Object}); err != nil {
		return observing(err)
	}
	if !w.syncing {
		w.rv, w.moved = e.RV, true
	}
	return nil
}

func (w *Watcher) bookmark(ctx context.Context, e wire.Event) error {
	if e.RV == "" {
		return errors.New("bookmark without a resourceVersion")
	}
	if w.syncing {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return fmt.Errorf("bookmark: %w", err)
		}
		if o.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
			return nil
		}
		return w.end(ctx, e.RV)
	}
	if err := w.sink.Bookmark(ctx, e.RV); err != nil {
		return sinkFailure(err)
	}
	w.rv, w.moved = e.RV, true
	return nil
}
