package api

import (
	"bufio"
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

// object writes one object's records and the Events regarding it. rest is the
// escaped path after [v1.EventsPath].
func (h *handler) object(w http.ResponseWriter, r *http.Request, rest string) {
	p, q, err := parseObject(r, rest, h.options.MaxLimit())
	var found query.ObjectHistory
	if err == nil {
		found, err = h.service.Object(r.Context(), q)
	}
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	if err == nil {
		writeGaps(w, found.Gaps)
		writeIgnored(w, found.Ignored)
		writeCoverage(w, found.Coverage)
	}
	_, related := errors.AsType[*query.RelatedError](err)
	switch {
	case related:
		h.failFixed(w, r, v1.RelatedQueryFailedText, err)
	case err != nil:
		h.failFixed(w, r, v1.ObjectQueryFailedText, err)
	case len(found.Own.Versions)+len(found.Related.Versions) == 0 && !found.Own.More && !p.empty:
		http.Error(w, v1.NoObjectText, http.StatusNotFound)
	default:
		exact := found.Own.Exact && found.Related.Exact
		writeCounts(w, r, found.Own.Total+found.Related.Total, exact, nextCursor(q, found))
		h.writeObject(w, q, found, p.summary)
	}
}

// writeObject writes a [v1.ObjectHistory] event by event.
func (h *handler) writeObject(w http.ResponseWriter, q query.Object, found query.ObjectHistory, summary bool) {
	out := bufio.NewWriter(w)
	namespace, _ := q.Namespace.Namespace()
	for i, field := range [][2]string{{"namespace", namespace}, {"resourceType", found.Resource}, {"resourceName", q.Name}} {
		value, _ := json.Marshal(field[1]) // a string can always be encoded
		_ = out.WriteByte("{,,"[i])
		_, _ = out.WriteString(`"` + field[0] + `":`)
		_, _ = out.Write(value)
	}
	_, _ = out.WriteString(`,"watchEvents":`)
	h.writeEvents(out, found.Own.Versions, summary)
	_, _ = out.WriteString(`,"relatedEvents":`)
	h.writeEvents(out, found.Related.Versions, summary)
	_, _ = out.WriteString("}\n")
	_ = out.Flush()
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
	q.Managers = p.all(v1.ParamManager)
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
	return cursorAfter(found.Own, q.After, q.Order).String() + "." + cursorAfter(found.Related, q.RelatedAfter, q.Order).String()
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
	case len(page.Versions) > 0:
		return history.Cursor{Time: page.Versions[len(page.Versions)-1].Time}
	default:
		return after
	}
}
