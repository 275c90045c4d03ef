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

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// object answers with one object's records and the Events regarding it. The rest of its path is escaped.
func (h *handler) object(w http.ResponseWriter, r *http.Request, rest string) {
	p, q, err := objectQuestion(r, rest, h.options.MaxLimit())
	var found query.ObjectHistory
	if err == nil {
		found, err = h.service.Object(r.Context(), q)
	}
	if err == nil {
		writeGaps(w, found.Gaps)
		writeIgnored(w, found.Omitted)
		writeCoverage(w, found.Coverage)
	}
	_, related := errors.AsType[*query.RelatedError](err)
	switch {
	case related:
		h.failFixed(w, r, textRelated, err)
	case err != nil:
		h.failFixed(w, r, textHistory, err)
	case len(found.Own.Versions)+len(found.Related.Versions) == 0 && !p.empty:
		http.Error(w, textNoObject, http.StatusNotFound)
	default:
		exact := found.Own.Exact && found.Related.Exact
		writeHeaders(w, r, found.Own.Total+found.Related.Total, exact, nextCursor(q, found))
		h.writeObject(w, q, found, p.summary)
	}
}

// writeObject writes a [v1.ObjectHistory], by and by.
func (h *handler) writeObject(w http.ResponseWriter, q query.Object, found query.ObjectHistory, summary bool) {
	out := bufio.NewWriter(w)
	namespace := q.Namespace
	if namespace == history.NoNamespace {
		namespace = ""
	}
	for i, field := range [][2]string{{"namespace", namespace}, {"resourceType", found.Resource}, {"resourceName", q.Name}} {
		value, _ := json.Marshal(field[1]) // a string always can be
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

// objectQuestion reads the path and the parameters.
func objectQuestion(r *http.Request, rest string, maxLimit int) (parameters, query.Object, error) {
	segments, err := objectPath(rest)
	if err != nil {
		return parameters{}, query.Object{}, err
	}
	p, err := parse(r.URL.Query(), maxLimit)
	if err != nil {
		return p, query.Object{}, err
	}
	q := query.Object{
		Namespace: segments[0], Type: segments[1], Name: segments[2],
		UID: types.UID(p.values.Get("uid")), Group: p.values.Get("group"),
		Start: p.start, End: p.end, Order: p.order, Limit: p.limit, Bare: p.summary,
	}
	if q.Revisions, err = p.revisions(); err != nil {
		return p, q, err
	}
	if q.Descendants, err = p.flag("descendants"); err != nil {
		return p, q, err
	}
	q.After, q.RelatedAfter, err = objectCursors(p.values.Get("cursor"))
	return p, q, err
}

// objectPath cuts "namespace/resourceType/name". A slash may follow.
func objectPath(rest string) ([]string, error) {
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(segments) != 3 || slices.Contains(segments, "") {
		return nil, &fixedError{textIncomplete}
	}
	for i := range segments {
		// The request's path was parsed already, so that its escapes are sound.
		if plain, err := url.PathUnescape(segments[i]); err == nil {
			segments[i] = plain
		}
	}
	return segments, nil
}

// objectCursors reads a cursor of this endpoint: those of its two lists, with a dot between them.
func objectCursors(text string) (own, related history.Cursor, err error) {
	if text == "" {
		return own, related, nil
	}
	first, second, both := strings.Cut(text, ".")
	if !both {
		return own, related, invalid("cursor", text, "want one from an answer of this recorder for this object")
	}
	if own, err = cursor(first); err != nil {
		return own, related, err
	}
	related, err = cursor(second)
	return own, related, err
}

// nextCursor returns the cursor of the next page, "" where both lists are complete. A list that is complete goes on behind
// its end.
func nextCursor(q query.Object, found query.ObjectHistory) string {
	if !found.Own.More && !found.Related.More {
		return ""
	}
	return behind(found.Own, q.After, q.Order).String() + "." + behind(found.Related, q.RelatedAfter, q.Order).String()
}

func behind(page query.Page, after history.Cursor, order history.Order) history.Cursor {
	switch {
	case page.More:
		return page.Next
	case order == history.NewestFirst:
		return history.Cursor{Time: time.Unix(0, 1).UTC()} // nothing is older
	case len(page.Versions) > 0:
		return history.Cursor{Time: page.Versions[len(page.Versions)-1].Time}
	default:
		return after
	}
}
