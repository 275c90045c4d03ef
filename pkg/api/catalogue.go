package api

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// catalogue writes what the API server served at a time: the endpoint
// [v1.CataloguePath].
func (h *handler) catalogue(w http.ResponseWriter, r *http.Request) {
	at, err := parameters{values: r.URL.Query()}.moment(v1.ParamAt)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	c, err := h.ask(r.Context()).Catalogue(r.Context(), at)
	if err != nil {
		h.fail(w, r, ofParameter(err, func(time.Time) string { return v1.ParamAt }))
		return
	}
	list := v1.Catalogue{
		At: c.At, Read: c.Read, Version: c.Version, Gaps: catalogueGaps(c.Gaps),
		Documents: make([]v1.Document, len(c.Documents)), Unread: make([]v1.UnreadDocument, len(c.Unread)),
	}
	for i, d := range c.Documents {
		list.Documents[i] = v1.Document{Name: d.Ref.Name, DocumentVersion: documentVersion(d)}
	}
	for i, u := range c.Unread {
		list.Unread[i] = v1.UnreadDocument{
			Name: u.Ref.Name, Since: u.InferredSince, Reason: string(u.Cause.Reason), Detail: u.Cause.Detail,
		}
	}
	writeJSON(w, http.StatusOK, list)
}

// documentVersion returns a version of a document in the form of the API.
func documentVersion(d query.Document) v1.DocumentVersion {
	v := v1.DocumentVersion{
		Timestamp: d.Time, Verb: d.Verb.String(), Hash: d.Content.Hash, Size: d.Content.Size, Initial: d.Initial,
	}
	if !d.InferredSince.IsZero() {
		v.Inferred = &v1.Interval{Start: d.InferredSince.UTC(), End: d.Time}
	}
	if d.Until != nil {
		v.Until = &v1.Interval{Start: d.Until.InferredSince.UTC(), End: d.Until.Time}
	}
	return v
}

// catalogueGaps returns gaps of the documents in the form of the API.
func catalogueGaps(gaps []history.Gap) []v1.CatalogueGap {
	list := make([]v1.CatalogueGap, len(gaps))
	for i, g := range gaps {
		list[i] = v1.CatalogueGap{
			Start: g.Start.UTC(), End: g.End.UTC(), Reason: string(g.Reason), Detail: g.Detail,
		}
	}
	return list
}

// document writes a document, or its history. escaped is its name as a path.
func (h *handler) document(w http.ResponseWriter, r *http.Request, escaped string) {
	p := parameters{values: r.URL.Query()}
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" {
		h.fail(w, r, history.Errorf(history.Invalid, "path %s: want the name of a document", r.URL.Path))
		return
	}
	versions, err := p.flag(v1.ParamVersions)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if versions {
		h.documentHistory(w, r, name)
		return
	}
	q := query.DocumentQuery{Name: name, Hash: p.values.Get(v1.ParamHash)}
	if q.At, err = p.moment(v1.ParamAt); err != nil {
		h.fail(w, r, err)
		return
	}
	d, content, err := h.ask(r.Context()).Document(r.Context(), q)
	if err != nil {
		h.fail(w, r, ofParameter(err, func(time.Time) string { return v1.ParamAt }))
		return
	}
	header := w.Header()
	header.Set(headerTag, `"`+d.Content.Hash+`"`)
	// Rights may change, so only the caller's own cache may keep the answer.
	header.Set(headerCache, cachePrivately)
	if q.Hash != "" {
		header.Set(headerCache, "private, max-age=31536000, immutable")
	}
	header.Set(v1.TimestampHeader, d.Time.Format(time.RFC3339Nano))
	if hasTag(r.Header.Values("If-None-Match"), d.Content.Hash) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body, err := content()
	if err != nil {
		header.Del(headerTag)
		header.Del(headerCache)
		h.fail(w, r, err)
		return
	}
	header.Set(headerType, v1.ContentType)
	header.Set(headerSniffing, sniffingDisabled)
	_, _ = w.Write(body)
}

// documentHistory writes the versions of a document.
func (h *handler) documentHistory(w http.ResponseWriter, r *http.Request, name string) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if fixed, ok := errors.AsType[*fixedError](err); ok {
		err = history.Errorf(history.Invalid, "%s", fixed.text) // this endpoint reports errors as JSON
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	page, err := h.ask(r.Context()).DocumentVersions(r.Context(), query.DocumentVersions{
		Name: name, Start: p.start, End: p.end, Limit: p.limit,
	})
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list := v1.DocumentHistory{
		Name: name, Gaps: catalogueGaps(page.Gaps), Versions: make([]v1.DocumentVersion, len(page.Versions)),
	}
	for i, d := range page.Versions {
		list.Versions[i] = documentVersion(d)
	}
	w.Header().Set(v1.HasMoreHeader, strconv.FormatBool(page.More))
	writeJSON(w, http.StatusOK, list)
}
