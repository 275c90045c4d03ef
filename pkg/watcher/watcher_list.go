package watcher

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

// begin begins a sync, unless one is under way or none is due. It is called
// once the server sends objects: the sink gives up its checkpoint, and an
// answer of something else is not worth that.
func (w *Watcher) begin(ctx context.Context) error {
	if w.rv != "" || w.syncing {
		return nil
	}
	if err := w.sink.BeginList(ctx); err != nil {
		return sinkFailure(err)
	}
	w.syncing, w.began = true, true
	w.enter(Change{State: Syncing}) // no earlier: what a sync can't make up for is in the sink from now on
	return nil
}

func (w *Watcher) end(ctx context.Context, rv string) error {
	if err := w.sink.EndList(ctx, rv); err != nil {
		return sinkFailure(err)
	}
	w.rv, w.syncing, w.paged, w.whole, w.moved, w.former = rv, false, false, false, true, ""
	w.opened = time.Now()
	w.relax()
	w.enter(Change{State: Watching})
	if w.backlog != nil { // it goes over into a watch
		w.backlog.begin(func() error { return sinkFailure(w.sink.CaughtUp(ctx)) })
	}
	return nil
}

// list syncs by pages. A page that expires ends the sync: the rest would be of
// another time. What contradicts itself in pages is asked for in one.
func (w *Watcher) list(ctx context.Context, l *link) error {
	query := url.Values{}
	if !w.whole {
		query.Set("limit", strconv.Itoa(w.opts.PageSize))
	}
	rv := ""
	for {
		page, err := w.page(ctx, l, query)
		if err == nil {
			err = w.follows(page, query.Get("continue"))
		}
		if err != nil {
			w.whole = w.whole || rv != "" && expired(err) || errors.Is(err, errEndless) || errors.Is(err, errPartial)
			return err
		}
		if rv == "" {
			rv = page.RV
		}
		if page.Continue == "" {
			return w.end(ctx, rv)
		}
		query.Set("continue", page.Continue)
	}
}

// follows returns what is wrong with a page as the successor of the one that
// named it, nil if nothing is. A list that seems to end early must not pass
// for a whole one: whatever it lacks would be taken for deleted.
func (w *Watcher) follows(page watchproto.Page, token string) error {
	switch {
	case page.Continue != "" && page.Continue == token:
		return errEndless
	case page.Continue == "" && page.Remaining > 0 && !w.whole:
		return errPartial
	default:
		return nil
	}
}

func (w *Watcher) page(ctx context.Context, l *link, query url.Values) (watchproto.Page, error) {
	body, err := l.get(query)
	if err != nil {
		return watchproto.Page{}, err
	}
	defer body.Close()
	w.recovered()
	l.await()
	defer l.arrived()
	page, err := watchproto.ReadPage(body, maxLine, func(item []byte) error {
		l.arrived()
		defer l.await()
		return w.listed(ctx, item)
	})
	if err != nil {
		return watchproto.Page{}, err
	}
	return page, w.begin(ctx) // an empty page has begun nothing
}

func (w *Watcher) listed(ctx context.Context, item []byte) error {
	object, err := watchproto.Complete(item, w.resource.APIVersion(), w.resource.Kind)
	if err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	return observing(w.sink.Observe(ctx, history.WatchEvent{Type: history.Added, Object: object}))
}
