package api

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// gaps answers with the intervals in which changes may be missing.
func (h *handler) gaps(w http.ResponseWriter, r *http.Request) {
	gaps, err := h.findGaps(r)
	if fixed, ok := errors.AsType[*fixedError](err); ok {
		err = history.Errorf(history.Invalid, "%s", fixed.text)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list := v1.GapList{Gaps: make([]v1.Gap, len(gaps))}
	for i, g := range gaps {
		list.Gaps[i] = v1.Gap{
			Group: g.Group, Resource: g.Resource, Start: g.Start.UTC(), End: g.End.UTC(), Reason: string(g.Reason), Detail: g.Detail,
		}
	}
	writeGaps(w, gaps)
	writeJSON(w, http.StatusOK, list)
}

func (h *handler) findGaps(r *http.Request) ([]history.Gap, error) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		return nil, err
	}
	q, _, err := p.timeline()
	if err != nil {
		return nil, err
	}
	return h.service.Gaps(r.Context(), query.Gaps{Start: q.Start, End: q.End, Types: q.Types, Group: q.Group})
}

// writeGaps says how many gaps touch an answer and, of the newest, which. An answer without records says it as well: that is
// where it matters most.
func writeGaps(w http.ResponseWriter, gaps []history.Gap) {
	w.Header().Set(v1.GapsHeader, strconv.Itoa(len(gaps)))
	if len(gaps) == 0 {
		return
	}
	var listed []string
	for _, g := range slices.Backward(gaps) {
		if len(listed) == v1.MaxGapsListed {
			break
		}
		listed = append(listed, inHeader(g))
	}
	w.Header().Set(v1.GapListHeader, strings.Join(listed, ", "))
}

// inHeader writes a gap as "pods.group start/end reason", the end ".." where there is none.
func inHeader(g history.Gap) string {
	end := ".."
	if !g.Open() {
		end = g.End.UTC().Format(time.RFC3339Nano)
	}
	return g.GroupResource().String() + " " + g.Start.UTC().Format(time.RFC3339Nano) + "/" + end + " " + string(g.Reason)
}
