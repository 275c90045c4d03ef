package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// events answers with a page of the timeline.
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		h.failFixed(w, r, textQuery, err)
		return
	}
	q, possible, err := p.timeline()
	page := query.Page{Exact: true}
	if err == nil && possible {
		page, err = h.service.Timeline(r.Context(), q)
	}
	if err == nil {
		writeGaps(w, page.Gaps)
		writeIgnored(w, page.Omitted)
		writeCoverage(w, page.Coverage)
	}
	switch {
	case err != nil:
		h.failFixed(w, r, textQuery, err)
	case len(page.Versions) == 0 && !p.empty:
		http.Error(w, textNoMatch, http.StatusNotFound)
	default:
		next := ""
		if page.More {
			next = page.Next.String()
		}
		writeHeaders(w, r, page.Total, page.Exact, next)
		out := bufio.NewWriter(w)
		h.writeEvents(out, page.Versions, p.summary)
		_ = out.WriteByte('\n')
		_ = out.Flush()
	}
}

// writeHeaders begins an answer of records: how many match, and where the next page is. The link is relative and has no
// path, so that it holds behind any proxy.
func writeHeaders(w http.ResponseWriter, r *http.Request, total int, exact bool, next string) {
	header := w.Header()
	header.Set(headerType, contentTypeJSON)
	header.Set(headerSniffing, sniffingDisabled)
	header.Set(v1.TotalCountHeader, strconv.Itoa(total))
	header.Set(v1.HasMoreHeader, strconv.FormatBool(next != ""))
	if !exact {
		header.Set(v1.TotalCountRelationHeader, "gte")
	}
	if next == "" {
		return
	}
	header.Set(v1.NextCursorHeader, next)
	values := r.URL.Query()
	values.Set("cursor", next)
	header.Set("Link", "<"+(&url.URL{RawQuery: values.Encode()}).String()+`>; rel="next"`)
}

// writeEvents writes an array, one event a line, so that no more than one is held as text. Errors of writing mean that
// nobody reads any more; the writer remembers them.
func (h *handler) writeEvents(out *bufio.Writer, versions []query.Version, summary bool) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = out.WriteByte('[')
	for i := range versions {
		if i > 0 {
			_, _ = out.WriteString(",\n")
		}
		line.Reset()
		_ = encoder.Encode(h.event(&versions[i], summary)) // whatever is raw in it was found valid
		_, _ = out.Write(bytes.TrimSuffix(line.Bytes(), []byte("\n")))
	}
	_ = out.WriteByte(']')
}
