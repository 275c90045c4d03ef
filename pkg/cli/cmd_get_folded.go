package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// folds reports whether the timeline is folded. Formats for programs, columns
// and the order of single versions are not.
func (o *getOptions) folds() bool { return o.format == "" && !o.flat && !o.showNoise && o.sortBy == "" }

// runFolded writes folded rows, and returns how many. If there are none, or
// only problems of the given types, it writes nothing and reports false.
func (o *getOptions) runFolded(
	ctx context.Context, s *session, subjects []subject, queries []client.EventsQuery,
) (folded bool, shown int, err error) {
	queries = slices.Clone(queries)
	for i := range queries {
		queries[i].Summary, queries[i].Consequences = false, o.expand
	}
	found, err := s.newestRows(ctx, queries, &o.window)
	switch {
	case errors.Is(err, client.ErrNoFolding):
		return false, 0, nil
	case err != nil:
		return false, 0, err
	}
	if len(found.rows) == 0 || len(subjects) > 0 && !hasChange(found.rows) {
		return false, 0, nil
	}
	if err := o.showRows(s, found, o.printer(&o.env, o.allNamespaces, false)); err != nil {
		return false, 0, err
	}
	return true, len(found.rows), o.reportMissing(ctx, s, subjects, &found.result, false)
}

// hasChange reports whether a row has a root change.
func hasChange(rows []v1.Row) bool {
	return slices.ContainsFunc(rows, func(r v1.Row) bool { return len(r.Changes) > 0 })
}

// noteConsequences writes notes instead of a page whose versions all follow
// from earlier changes, or are of objects that existed before.
func (o *getOptions) noteConsequences(s *session, found *result) {
	found.coverage.note(&o.queryOptions, false)
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(len(found.gaps), true, ""))
	initial := 0
	for i := range found.events {
		if found.events[i].Initial {
			initial++
		}
	}
	var parts []string
	if n := len(found.events) - initial; n > 0 {
		parts = append(parts, fmt.Sprintf("%s that %s from earlier changes", plural(n, "version"), follow(n)))
	}
	if initial > 0 {
		parts = append(parts, plural(initial, "object")+" that existed when recording began")
	}
	flag := namespaceFlag(s.namespace)
	if s.namespace == history.AllNamespaces {
		flag = " -A"
	}
	o.env.note(fmt.Sprintf("No changes found%s, only %s: '%s' shows them.",
		in(s.namespace), strings.Join(parts, " and "), o.env.command("get --flat"+flag)))
}

// foldedResult is the merged result of several folded queries. It has no
// events.
type foldedResult struct {
	result
	rows []v1.Row // oldest first
}

// newestRows is [session.newest] for folded rows.
func (s *session) newestRows(ctx context.Context, queries []client.EventsQuery, w *window) (*foldedResult, error) {
	r := &foldedResult{result: result{exact: true}}
	for _, q := range queries {
		q.Order, q.Start, q.End = history.NewestFirst, w.start, w.end
		if err := s.readRows(ctx, q, w, r); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(r.rows, func(a, b v1.Row) int { return a.Start.Compare(b.Start) })
	if w.limit > 0 && len(r.rows) > w.limit {
		r.rows, r.cut = r.rows[len(r.rows)-w.limit:], true
	}
	start := w.start
	if r.cut {
		start = r.rows[0].Start
	}
	var err error
	r.gaps, err = s.gaps(ctx, r.withGaps, start, w.end)
	return r, err
}

// readRows is [session.read] for folded rows.
func (s *session) readRows(ctx context.Context, q client.EventsQuery, w *window, r *foldedResult) error {
	newest := time.Time{}
	for n := 0; ; {
		q.Limit = w.pageSize(n)
		page, err := s.Folded(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			newest = latest(newest, newestIn(&page.Rows[i]))
		}
		r.rows = append(r.rows, page.Rows...)
		n += len(page.Rows)
		if !page.HasMore || w.limit > 0 && n >= w.limit {
			r.newestOf = append(r.newestOf, newest)
			r.endQuery(q, n, &page.Page)
			return nil
		}
		q.Cursor = page.Next
	}
}

// showRows writes what the record does not contain, a heading, and the rows.
func (o *getOptions) showRows(s *session, found *foldedResult, p *render.Printer) error {
	found.coverage.note(&o.queryOptions, false)
	o.env.note(found.ignored.note())
	if found.cut {
		o.env.note(fmt.Sprintf("Showing the newest %d rows, from %s on: --limit=0 shows all.", len(found.rows),
			found.rows[0].Start.In(o.location).Format(time.TimeOnly)))
	}
	heading := render.Heading{Namespace: string(s.namespace), Start: o.start, End: o.end, Only: o.filters()}
	if s.namespace == history.AllNamespaces {
		heading.Namespace = "all namespaces"
	}
	if found.cut {
		heading.Start = found.rows[0].Start
	}
	if !o.noHeaders {
		if err := p.Heading(&heading, found.rows); err != nil {
			return err
		}
	}
	return p.Folded(found.rows, found.gaps)
}
