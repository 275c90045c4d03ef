package watcher

import (
	"context"
	"net/url"
	"strconv"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/wire"
)

func (w *Watcher) begin(ctx context.Context) error {
	if err := w.sink.BeginSync(ctx); err != nil {
		return sinkFailure(err)
	}
	w.syncing = true
	w.enter(Change{State: Syncing}) // no earlier: what a sync can't make up for is in the sink from now on
	return nil
}

func (w *Watcher) end(ctx context.Context, rv string) error {
	if err := w.sink.EndSync(ctx, rv); err != nil {
		return sinkFailure(err)
	}
	w.rv, w.syncing, w.paged, w.whole, w.moved = rv, false, false, false, true
	w.relax()
	w.enter(Change{State: Watching})
	return nil
}

// list syncs by pages. A page that expires ends the sync: the rest would be of another time.
func (w *Watcher) list(ctx context.Context, l *link) error {
	query := url.Values{}
	if !w.whole {
		query.Set("limit", strconv.Itoa(w.opts.PageSize))
	}
	rv := ""
	for {
		page, err := w.page(ctx, l, query)
		if err != nil {
			w.whole = w.whole || rv != "" && expired(err)
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

func (w *Watcher) page(ctx context.Context, l *link, query url.Values) (wire.Page, error) {
	body, err := l.get(query)
	if err != nil {
		return wire.Page{}, err
	}
	defer body.Close()
	if !w.syncing {
		if err := w.begin(ctx); err != nil {
			return wire.Page{}, err
		}
	}
	l.await()
	defer l.arrived()
	return wire.ReadPage(body, func(item []byte) error {
		l.arrived()
		defer l.await()
		return w.listed(ctx, item)
	})
}

func (w *Watcher) listed(ctx context.Context, item []byte) error {
	object, err := wire.Complete(item, w.resource.APIVersion(), w.resource.Kind)
	if err != nil {
		return err
	}
	return observing(w.sink.Observe(ctx, history.Frame{Type: history.Added, Object: object}))
}
