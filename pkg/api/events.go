package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"runtime"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// errFull ends a query whose answer is full for now.
var errFull = errors.New("answer is full")

// errChanged means that records of a page were dropped while it was sent.
var errChanged = history.Errorf(history.Unavailable, "records were dropped while they were sent")

// events answers with a page of the timeline: the endpoint [v1.EventsPath].
func (h *handler) events(a *answer, r *http.Request) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		h.failFixed(a, r, v1.QueryFailedText, err)
		return
	}
	if _, err := p.flag(v1.ParamWatch); err != nil {
		h.failFixed(a, r, v1.QueryFailedText, err)
		return
	}
	if fold, err := p.flag(v1.ParamFold); err != nil {
		h.failFixed(a, r, v1.QueryFailedText, err)
		return
	} else if fold {
		h.folded(a, r, p)
		return
	}
	q, possible, err := p.timeline()
	list := eventList{h: h, out: a, summary: p.summary}
	page := query.Page{Exact: true}
	if !q.End.IsZero() { // the page may be final
		a.hash = sha256.New()
	}
	if err == nil && possible {
		q.Each = list.offer
		page, err = h.ask(r.Context()).Timeline(r.Context(), q)
	}
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	if err == nil {
		writeGaps(a, page.Gaps)
		writeIgnored(a, page.Ignored)
		writeCoverage(a, page.Coverage)
		writeRestricted(a, page.Restricted)
	}
	switch {
	case err != nil:
		a.discard()
		h.failFixed(a, r, v1.QueryFailedText, err)
	case page.Count == 0 && !page.More && !p.empty:
		http.Error(a, v1.NoMatchText, http.StatusNotFound)
	default:
		next := ""
		if page.More {
			next = page.Next.String()
		}
		writeCounts(a, r, page.Total, page.Exact, next)
		if !list.complete(&page) {
			list.line, a.hash = bytes.Buffer{}, nil
			whole := query.Page{Count: page.Count, End: page.End} // the rest of the page would be held until it is sent
			a.rest = func(ctx context.Context) (bool, error) { return h.restOfEvents(ctx, q, &whole, &list) }
			return
		}
		list.end()
		_, _ = a.Write([]byte("\n"))
		if page.Final {
			a.validate(r, next)
		}
	}
}

// restOfEvents writes the rest of a page until the answer is full. It reports
// whether the page is complete.
func (h *handler) restOfEvents(ctx context.Context, q query.Timeline, page *query.Page, list *eventList) (bool, error) {
	defer func() { list.line = bytes.Buffer{} }() // may be large
	q.Rest, q.Each = page.End, list.add
	q.After, q.Limit = list.last, page.Count-list.n
	_, err := h.ask(ctx).Timeline(ctx, q)
	switch {
	case errors.Is(err, errFull):
		return false, nil
	case err != nil:
		return false, err
	case !list.complete(page):
		return false, errChanged
	}
	list.end()
	_, _ = list.out.Write([]byte("\n"))
	return true, nil
}

// eventList writes an array with one event per line. It encodes one event at a
// time.
type eventList struct {
	h       *handler
	out     *answer
	summary bool

	n      int            // events that were written
	last   history.Cursor // the position after them
	sum    checksum       // of them
	wanted checksum       // of the page
	line   bytes.Buffer
}

// checksum is a checksum of the times of events, in order. Times are unique.
type checksum uint64

// add adds the next event, as FNV-1a does.
func (c *checksum) add(v *query.Version) { *c = (*c ^ checksum(v.Time.UnixNano())) * 1_099_511_628_211 }

// offer writes the next event, unless the answer is full. It never fails: the
// query continues and finds the end of the page. The other events are written
// later.
func (l *eventList) offer(v *query.Version) error {
	l.wanted.add(v)
	if !l.out.full() {
		l.write(v)
	}
	return nil
}

// add writes the next event. It returns errFull instead if the answer is full.
func (l *eventList) add(v *query.Version) error {
	if l.out.full() {
		return errFull
	}
	l.write(v)
	return nil
}

// isSecret reports whether a version is one of a Secret. Reading it is audited.
func isSecret(v *query.Version) bool {
	return v.Ref.GroupResource() == schema.GroupResource{Resource: "secrets"}
}

// write writes an event. Then it lets other goroutines run. A large query would
// otherwise keep its processor for 10 ms at a time, and a small one needs a
// processor several times.
func (l *eventList) write(v *query.Version) {
	l.line.Reset()
	l.begin()
	if l.n > 0 {
		l.line.WriteString(",\n")
	}
	encoder := json.NewEncoder(&l.line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(l.h.event(v, l.summary)) // visibleObject has checked the raw JSON
	_, _ = l.out.Write(bytes.TrimSuffix(l.line.Bytes(), []byte("\n")))
	if isSecret(v) {
		l.out.contains(v.Ref.Namespace + "/" + v.Ref.Name)
	}
	l.n++
	l.last = history.Cursor{Time: v.Time}
	l.sum.add(v)
	runtime.Gosched()
}

// begin writes the beginning of the array before its first event.
func (l *eventList) begin() {
	if l.n == 0 {
		_, _ = l.out.Write([]byte("["))
	}
}

// end writes the end of the array.
func (l *eventList) end() {
	l.begin()
	_, _ = l.out.Write([]byte("]"))
}

// complete reports whether the page's events are written. Those that are read
// after the page was may be others: records are dropped, and a version matches
// another filter once the one before it is dropped.
func (l *eventList) complete(page *query.Page) bool {
	return l.n == page.Count && l.sum == l.wanted
}
