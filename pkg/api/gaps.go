package api

import (
	"errors"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// gaps writes the intervals in which changes may be missing: the endpoint
// [v1.GapsPath].
func (h *handler) gaps(w http.ResponseWriter, r *http.Request) {
	gaps, err := h.findGaps(r)
	if fixed, ok := errors.AsType[*fixedError](err); ok {
		err = history.Errorf(history.Invalid, "%s", fixed.text) // this endpoint reports errors as JSON
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list := v1.GapList{Gaps: make([]v1.Gap, len(gaps))}
	for i, g := range gaps {
		list.Gaps[i] = gapOf(g)
	}
	writeGaps(w, gaps)
	writeJSON(w, http.StatusOK, list)
}

// gapOf returns a gap in the form of the API.
func gapOf(g history.Gap) v1.Gap {
	return v1.Gap{
		Group: g.Group, Resource: g.Resource, Start: g.Start.UTC(), End: g.End.UTC(),
		Reason: string(g.Reason), Detail: g.Detail,
	}
}

// findGaps returns the gaps that the parameters select. It parses the
// parameters of a timeline, so a mistake in any of them is reported.
func (h *handler) findGaps(r *http.Request) ([]history.Gap, error) {
	p, err := parse(r.URL.Query(), h.options.MaxLimit())
	if err != nil {
		return nil, err
	}
	q, _, err := p.timeline()
	if err != nil {
		return nil, err
	}
	return h.ask(r.Context()).Gaps(r.Context(), query.Gaps{Start: q.Start, End: q.End, Types: q.Types, Group: q.Group})
}
