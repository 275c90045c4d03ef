package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// object answers with one object's records and the Events regarding it. rest is
// the escaped path after [v1.EventsPath].
func (h *handler) object(a *answer, r *http.Request, rest string) {
	p, q, err := parseObject(r, rest, h.options.MaxLimit())
	doc := newObjectDocument(h, a, &q, p.summary)
	if !q.End.IsZero() || len(q.Revisions) > 0 { // the answer may be final
		a.hash = sha256.New()
	}
	var found query.ObjectHistory
	if err == nil {
		q.Each = func(of query.List, v *query.Version) error { return doc.list(of).offer(v) }
		found, err = h.ask(r.Context()).Object(r.Context(), q)
	}
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	if err == nil {
		writeGaps(a, found.Gaps)
		writeIgnored(a, found.Ignored)
		writeCoverage(a, found.Coverage)
		writeRestricted(a, found.Restricted)
	}
	_, related := errors.AsType[*query.RelatedError](err)
	if err != nil {
		a.discard()
	}
	switch {
	case related:
		h.failFixed(a, r, v1.RelatedQueryFailedText, err)
	case err != nil:
		h.failFixed(a, r, v1.ObjectQueryFailedText, err)
	case found.Own.Count+found.Related.Count == 0 && !found.Own.More && !found.Related.More && !p.empty:
		http.Error(a, v1.NoObjectText, http.StatusNotFound)
	default:
		exact := found.Own.Exact && found.Related.Exact
		next := nextCursor(q, found)
		writeCounts(a, r, found.Own.Total+found.Related.Total, exact, next)
		if doc.complete(&found) {
			if doc.end(found.Resource); found.Final {
				a.validate(r, next)
			}
			return
		}
		doc.shrink()
		a.hash = nil
		whole := query.ObjectHistory{ // without what would only be held until it is sent
			Resource: found.Resource,
			Own:      query.Page{Count: found.Own.Count, End: found.Own.End},
			Related:  query.Page{Count: found.Related.Count, End: found.Related.End},
		}
		a.rest = func(ctx context.Context) (bool, error) { return h.restOfObject(ctx, q, &whole, doc) }
	}
}

// restOfObject writes the rest of an object's history until the answer is full.
// It reports whether the history is complete.
func (h *handler) restOfObject(
	ctx context.Context, q query.Object, found *query.ObjectHistory, doc *objectDocument,
) (bool, error) {
	defer doc.shrink()
	q.Each = func(of query.List, v *query.Version) error { return doc.list(of).add(v) }
	q.Rest = &query.Rest{
		Own: found.Own.Count - doc.own.n, Related: found.Related.Count - doc.related.n, End: found.Own.End,
	}
	if doc.own.n > 0 {
		q.After = doc.own.last
	}
	if doc.related.n > 0 {
		q.RelatedAfter = doc.related.last
	}
	_, err := h.ask(ctx).Object(ctx, q)
	switch {
	case errors.Is(err, errFull):
		return false, nil
	case err != nil:
		return false, err
	case !doc.complete(found):
		return false, errChanged
	}
	doc.end(found.Resource)
	return true, nil
}

// objectDocument writes a [v1.ObjectHistory] event by event: all own ones, and
// then the related ones.
type objectDocument struct {
	out          *answer
	q            *query.Object
	own, related eventList

	begun   bool // the beginning of the document is written
	ownDone bool // the list of own events is complete
}

func newObjectDocument(h *handler, a *answer, q *query.Object, summary bool) *objectDocument {
	list := eventList{h: h, out: a, summary: summary}
	return &objectDocument{out: a, q: q, own: list, related: list}
}

// list returns one of the lists, after writing what precedes it. If the answer
// is full, it writes nothing.
func (d *objectDocument) list(of query.List) *eventList {
	list := &d.own
	if of.Related {
		list = &d.related
	}
	if !d.out.full() {
		d.begin(of.Resource, of.Related)
	}
	return list
}

// begin writes what precedes a list, unless it is written.
func (d *objectDocument) begin(resource string, related bool) {
	if !d.begun {
		d.begun = true
		namespace, _ := d.q.Namespace.Namespace()
		fields := [][2]string{{"namespace", namespace}, {"resourceType", resource}, {"resourceName", d.q.Name}}
		for i, field := range fields {
			value, _ := json.Marshal(field[1]) // a string can always be encoded
			_, _ = d.out.Write(slices.Concat([]byte{"{,,"[i]}, []byte(`"`+field[0]+`":`), value))
		}
		_, _ = d.out.Write([]byte(`,"watchEvents":`))
	}
	if related && !d.ownDone {
		d.ownDone = true
		d.own.end()
		_, _ = d.out.Write([]byte(`,"relatedEvents":`))
	}
}

// end writes the end of the document.
func (d *objectDocument) end(resource string) {
	d.begin(resource, true)
	d.related.end()
	_, _ = d.out.Write([]byte("}\n"))
}

// shrink frees the buffers, which have the size of the largest events.
func (d *objectDocument) shrink() { d.own.line, d.related.line = bytes.Buffer{}, bytes.Buffer{} }

// complete reports whether the events of both lists are written.
func (d *objectDocument) complete(found *query.ObjectHistory) bool {
	return d.own.complete(&found.Own) && d.related.complete(&found.Related)
}

// parseObject parses the path and the parameters of an object's endpoint.
func parseObject(r *http.Request, rest string, maxLimit int) (parameters, query.Object, error) {
	segments, err := splitObjectPath(rest)
	if err != nil {
		return parameters{}, query.Object{}, err
	}
	p, err := parse(r.URL.Query(), maxLimit)
	if err != nil {
		return p, query.Object{}, err
	}
	q := query.Object{
		Namespace: history.ParseNamespaceScope(segments[0]), Type: segments[1], Name: segments[2],
		UID: types.UID(p.values.Get(v1.ParamUID)), Group: p.values.Get(v1.ParamGroup),
		Start: p.start, End: p.end, Order: p.order, Limit: p.limit, Bare: p.summary,
	}
	if q.Revisions, err = p.revisions(); err != nil {
		return p, q, err
	}
	if q.Descendants, err = p.flag(v1.ParamDescendants); err != nil {
		return p, q, err
	}
	if q.Selector, err = p.selector(); err != nil {
		return p, q, err
	}
	q.Managers, q.Classes = p.all(v1.ParamManager), p.classes
	if verbs, possible := p.verbs(); possible {
		q.Verbs = verbs
	} else {
		q.Verbs = []history.Verb{0} // no version has it
	}
	q.After, q.RelatedAfter, err = parseObjectCursor(p.values.Get(v1.ParamCursor))
	return p, q, err
}

// splitObjectPath splits "namespace/resourceType/name", with an optional slash
// at the end.
func splitObjectPath(rest string) ([]string, error) {
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(segments) != 3 || slices.Contains(segments, "") {
		return nil, &fixedError{v1.IncompletePathText}
	}
	for i := range segments {
		// The server has parsed the path, so its escapes are valid.
		if plain, err := url.PathUnescape(segments[i]); err == nil {
			segments[i] = plain
		}
	}
	return segments, nil
}

// parseObjectCursor parses a cursor of this endpoint: the cursors of its two
// lists, separated by a dot.
func parseObjectCursor(text string) (own, related history.Cursor, err error) {
	if text == "" {
		return own, related, nil
	}
	first, second, both := strings.Cut(text, ".")
	if !both {
		return own, related, invalid(v1.ParamCursor, text, "want one from an answer of this recorder for this object")
	}
	if own, err = cursor(first); err != nil {
		return own, related, err
	}
	related, err = cursor(second)
	return own, related, err
}

// nextCursor returns the cursor of the next page, or "" if both lists are
// complete. If only one is, its part of the cursor is after its end.
func nextCursor(q query.Object, found query.ObjectHistory) string {
	if !found.Own.More && !found.Related.More {
		return ""
	}
	return cursorAfter(found.Own, q.After, q.Order).String() + "." +
		cursorAfter(found.Related, q.RelatedAfter, q.Order).String()
}

// cursorAfter returns a position after the page. after is the position before
// the page. It is returned if an oldest-first page is empty: later records
// belong to the next page.
func cursorAfter(page query.Page, after history.Cursor, order history.Order) history.Cursor {
	switch {
	case page.More:
		return page.Next
	case order == history.NewestFirst:
		return history.Cursor{Time: time.Unix(0, 1).UTC()} // no record is older
	case page.Count > 0:
		return page.End
	default:
		return after
	}
}
