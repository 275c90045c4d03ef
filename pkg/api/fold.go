package api

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// kindProblem is the kind of a row without a change.
const kindProblem = "problem"

// folded answers with a page of folded rows: the endpoint [v1.EventsPath] with
// [v1.ParamFold].
func (h *handler) folded(a *answer, r *http.Request, p parameters) {
	for _, name := range []string{v1.ParamClass, v1.ParamSummary, v1.ParamWatch} {
		if text := p.values.Get(name); text != "" {
			h.failFixed(a, r, v1.QueryFailedText, invalid(name, text, "can't be combined with "+v1.ParamFold))
			return
		}
	}
	q, possible, err := p.timeline()
	if err == nil {
		q.Consequences, err = p.consequences()
	}
	page := query.FoldedPage{Page: query.Page{Exact: true}}
	if err == nil && possible {
		page, err = h.ask(r.Context()).Folded(r.Context(), q)
	}
	if errors.Is(err, selector.ErrTooExpensive) {
		err = queryError(err)
	}
	if err != nil {
		h.failFixed(a, r, v1.QueryFailedText, err)
		return
	}
	writeGaps(a, page.Gaps)
	writeIgnored(a, page.Ignored)
	writeCoverage(a, page.Coverage)
	writeRestricted(a, page.Restricted)
	if len(page.Rows) == 0 && !page.More && !p.empty {
		http.Error(a, v1.NoMatchText, http.StatusNotFound)
		return
	}
	next := ""
	if page.More {
		next = page.Next.String()
	}
	writeCounts(a, r, page.Total, page.Exact, next)
	if page.Final {
		a.hash = sha256.New()
	}
	folded := v1.FoldedPage{Rows: make([]v1.Row, len(page.Rows))}
	for i := range page.Rows {
		folded.Rows[i] = h.row(&page.Rows[i])
	}
	_ = json.NewEncoder(a).Encode(folded)
	if page.Final {
		a.validate(r, next)
	}
}

// row returns a folded row in the form of the API.
func (h *handler) row(r *query.FoldedRow) v1.Row {
	row := v1.Row{
		Kind: string(r.Kind), Start: r.Start().UTC(), Object: object(r.Of),
		Writers: []v1.Writer{}, Changes: []v1.Event{}, Problems: []v1.Problem{},
		Consequences: r.Consequences, Delivery: r.Delivery, Again: r.Again,
	}
	for _, u := range r.UsedBy {
		row.UsedBy = append(row.UsedBy, v1.User{Object: objectOfRef(u.Ref, u.Kind), OutdatedPods: u.OutdatedPods})
	}
	if c := r.AfterChange; c != nil {
		row.After = &v1.ObjectRevision{Object: object(c), Revision: c.Revision}
	}
	if !r.Counted {
		row.ConsequencesRelation = v1.AtLeast
	}
	for i := range r.Followed {
		row.Followed = append(row.Followed, h.event(&r.Followed[i], true))
	}
	for _, v := range r.Onsets {
		problem := v1.Problem{Timestamp: v.Time.UTC(), Object: object(v.Record), Revision: v.Revision, Text: v.Problem}
		if t := v.Regarding; t != nil {
			problem.Object = v1.Object{
				Group: t.Group, Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, UID: string(t.UID),
			}
		}
		row.Problems = append(row.Problems, problem)
		row.End = problem.Timestamp
	}
	if o := r.Outcome; o != nil {
		changed := o.Reached
		if len(r.Changes) > 0 {
			changed = r.Last().Time
		}
		row.Outcome = outcome(o, changed)
	}
	if len(r.Changes) == 0 {
		row.Kind, row.Summary = kindProblem, r.Onsets[len(r.Onsets)-1].Problem
		return row
	}
	row.End, row.Objects, row.Summary = r.Last().Time.UTC(), r.Objects(), r.Text()
	for i := range r.Changes {
		c := &r.Changes[i]
		version := query.Version{Record: c.Record, Summary: c.Summary}
		if c.Record.Summary != nil {
			version.Problem = c.Record.Summary.Problem
		}
		row.Changes = append(row.Changes, h.event(&version, true))
		for _, m := range c.Managers {
			w := v1.Writer{Name: m.Name, Short: writer.Short(m.Name), Class: writer.ClassOf(m.Name).String()}
			if m.Name != "" && !slices.Contains(row.Writers, w) {
				row.Writers = append(row.Writers, w)
			}
		}
	}
	return row
}

// object identifies the object of a record.
func object(r *history.Record) v1.Object { return objectOfRef(r.Ref, r.Kind) }
