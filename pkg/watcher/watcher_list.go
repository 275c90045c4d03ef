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

// beginList begins a list, unless one is running or none is due. It is called
// when the API server sends the first object. Before that, the answer may be
// something else, for which the sink must not withdraw its checkpoint.
func (w *Watcher) beginList(ctx context.Context) error {
	if w.rv != "" || w.listing {
		return nil
	}
	if err := w.sink.BeginList(ctx, w.causes.Best()); err != nil {
		return asSinkError(err)
	}
	w.listing, w.listBegan = true, true
	w.setState(Change{State: Syncing}) // not earlier: from now on, the sink has the gap
	return nil
}

// endList ends a list that is complete at rv. A streamed list continues as a
// watch, which begins to catch up. The next list may stream again.
func (w *Watcher) endList(ctx context.Context, rv string) error {
	w.causes.Reset()
	if err := w.sink.EndList(ctx, rv); err != nil {
		return asSinkError(err)
	}
	w.rv, w.listing, w.usePages, w.useSinglePage, w.progressed, w.resumable = rv, false, false, false, true, ""
	w.opened = time.Now()
	w.release()
	w.setState(Change{State: Watching})
	if w.catchUp != nil {
		w.catchUp.begin(func() error { return w.caughtUp(ctx) })
	}
	return nil
}

// list lists the resource in pages. If a page expires, the list fails, because
// the remaining pages would be of another time. If pages expire or contradict
// each other, the next list is a single page.
func (w *Watcher) list(ctx context.Context, conn *connection) error {
	query := url.Values{}
	if !w.useSinglePage {
		query.Set("limit", strconv.Itoa(w.opts.PageSize))
	}
	rv := ""
	for {
		page, err := w.page(ctx, conn, query)
		if err == nil {
			err = w.checkPage(page, query.Get("continue"))
		}
		if err != nil {
			pagesFail := rv != "" && isExpired(err) || errors.Is(err, errPageLoop) || errors.Is(err, errItemsLeft)
			w.useSinglePage = w.useSinglePage || pagesFail
			return err
		}
		if rv == "" { // the first page determines the time of all
			rv = page.RV
		}
		if page.Continue == "" {
			return w.endList(ctx, rv)
		}
		query.Set("continue", page.Continue)
	}
}

// checkPage checks the page that token names. A list that ends early must not
// count as complete: the sink would infer that the missing objects are deleted.
func (w *Watcher) checkPage(page watchproto.Page, token string) error {
	switch {
	case page.Continue != "" && page.Continue == token:
		return errPageLoop
	case page.Continue == "" && page.Remaining > 0 && !w.useSinglePage:
		return errItemsLeft
	default:
		return nil
	}
}

// page requests one page and passes its objects to the sink.
func (w *Watcher) page(ctx context.Context, conn *connection, query url.Values) (watchproto.Page, error) {
	body, err := conn.get(query)
	if err != nil {
		return watchproto.Page{}, err
	}
	defer body.Close()
	w.endOutage()
	conn.startTimer() // it runs only while the server is waited for, not the sink
	defer conn.stopTimer()
	page, err := watchproto.ReadPage(body, maxEventSize, func(item []byte) error {
		conn.stopTimer()
		defer conn.startTimer()
		return w.item(ctx, item)
	})
	if err != nil {
		return watchproto.Page{}, err
	}
	return page, w.beginList(ctx) // an empty page has not begun the list
}

// item passes an object of a page to the sink.
func (w *Watcher) item(ctx context.Context, item []byte) error {
	object, err := watchproto.Complete(item, w.resource.APIVersion(), w.resource.Kind)
	if err != nil {
		return err
	}
	if err := w.beginList(ctx); err != nil {
		return err
	}
	return w.observeObject(ctx, history.Added, object)
}
