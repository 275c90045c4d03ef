package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// events writes a page of the timeline: the endpoint [v1.EventsPath].
func (h *handler) events(w http.ResponseWriter, r *http.Request) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		h.failFixed(w, r, v1.QueryFailedText, err)
		return
	}
	q, possible, err := p.timeline()
	page := query.Page{Exact: true}
	if err == nil && possible {
		page, err = h.service.Timeline(r.Context(), q)
	}
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	if err == nil {
		writeGaps(w, page.Gaps)
		writeIgnored(w, page.Ignored)
		writeCoverage(w, page.Coverage)
	}
	switch {
	case err != nil:
		h.failFixed(w, r, v1.QueryFailedText, err)
	case len(page.Versions) == 0 && !page.More && !p.empty:
		http.Error(w, v1.NoMatchText, http.StatusNotFound)
	default:
		next := ""
		if page.More {
			next = page.Next.String()
		}
		writeCounts(w, r, page.Total, page.Exact, next)
		out := bufio.NewWriter(w)
		h.writeEvents(out, page.Versions, p.summary)
		_ = out.WriteByte('\n')
		_ = out.Flush()
	}
}

// writeEvents writes an array with one event per line. At most one event is
// encoded in memory at a time.
//
// Write errors are ignored: they mean that the client has disconnected. The
// writer returns them again at the next write.
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
		_ = encoder.Encode(h.event(&versions[i], summary)) // visibleObject has checked the raw JSON
		_, _ = out.Write(bytes.TrimSuffix(line.Bytes(), []byte("\n")))
	}
	_ = out.WriteByte(']')
}
