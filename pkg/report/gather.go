package report

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Bounds of what a report contains.
const (
	pageSize    = 500 // records that are read at a time
	maxProblems = 5   // objects with a problem
	maxCauses   = 3   // changes that may have caused one
	maxDeleted  = 200 // objects that were deleted
)

// Gather reads the content of a report. It sends many queries, one after
// another, and returns the first error.
func Gather(ctx context.Context, source *client.Client, q Question) (*Report, error) {
	g := gatherer{source: source, q: q, until: q.End}
	if g.q.Location == nil {
		g.q.Location = time.UTC
	}
	if g.q.End.IsZero() {
		g.q.End = q.Now
	}
	g.q.PageSize, g.q.Diffs = cmp.Or(q.PageSize, pageSize), cmp.Or(q.Diffs, maxDiffs)
	g.r = &Report{
		Title: q.Title, Namespace: q.Namespace, Start: q.Start, End: g.q.End, Location: g.q.Location,
	}
	for _, step := range []func(context.Context) error{
		g.rows, g.gaps, g.problems, g.rowDiffs, g.compare, g.deleted, g.series,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	if g.r.Title == "" {
		g.r.Title = "What changed in " + place(q.Namespace)
	}
	return g.r, nil
}

// place names a scope.
func place(scope history.NamespaceScope) string {
	switch namespace, one := scope.Namespace(); {
	case !one:
		return "all namespaces"
	case namespace == "":
		return "the cluster scope"
	default:
		return namespace
	}
}

// gatherer reads the content of one report.
type gatherer struct {
	source *client.Client
	q      Question  // with defaults
	until  time.Time // the end as the user gave it; zero means now
	r      *Report

	touched int // gaps that touch the rows
}

// rows reads the folded rows, the newest first, and the coverage.
func (g *gatherer) rows(ctx context.Context) error {
	q := client.EventsQuery{
		Namespace: g.q.Namespace, Start: g.q.Start, End: g.until, Order: history.NewestFirst,
	}
	for {
		q.Limit = g.q.PageSize
		if g.q.Limit > 0 {
			q.Limit = min(q.Limit, g.q.Limit-len(g.r.Rows))
		}
		page, err := g.source.Folded(ctx, q)
		if errors.Is(err, client.ErrNoFolding) {
			return history.WithHint(history.Errorf(history.Invalid, "%v", err), "Update the recorder.")
		}
		if err != nil {
			return err
		}
		for i := range page.Rows {
			g.r.Rows = append(g.r.Rows, Row{Row: page.Rows[i]})
		}
		full := g.q.Limit > 0 && len(g.r.Rows) >= g.q.Limit
		if !page.HasMore || full {
			g.r.Cut = page.HasMore
			g.cover(&page.Page)
			break
		}
		q.Cursor = page.Next
	}
	slices.SortStableFunc(g.r.Rows, func(a, b Row) int { return a.Start.Compare(b.Start) })
	return nil
}

// cover adds what a page of the rows reports about the record.
func (g *gatherer) cover(p *client.Page) {
	c := &g.r.Coverage
	c.Since, c.Trimmed, c.Ignored = p.Since, p.SinceTrimmed, p.Ignored
	c.Restricted = p.Restricted
	for entry := range strings.SplitSeq(p.NotRecorded, ", ") {
		if entry != "" {
			c.NotRecorded = append(c.NotRecorded, notRecorded(entry))
		}
	}
	g.touched = p.Gaps
}

// notRecorded reads an entry of [v1.NotRecordedHeader]: "TYPE REASON", "TYPE
// before=TIME" or, if the header was cut, "+12 more".
func notRecorded(entry string) string {
	name, reason, _ := strings.Cut(entry, " ")
	if strings.HasPrefix(name, "+") {
		return entry
	}
	if start, isTime := strings.CutPrefix(reason, "before="); isTime {
		reason = "before " + start
	}
	return name + " (" + strings.ReplaceAll(reason, "_", " ") + ")"
}

// gaps reads the gaps of types whose objects can be in the scope.
func (g *gatherer) gaps(ctx context.Context) error {
	if g.touched == 0 {
		return nil
	}
	start := g.q.Start
	if g.r.Cut {
		start = g.r.Rows[0].Start
	}
	found, err := g.source.Gaps(ctx, client.GapsQuery{Start: start, End: g.until})
	if err != nil {
		return err
	}
	list, err := g.source.Resources(ctx)
	if err != nil {
		return err
	}
	for _, gap := range found {
		if g.mayHold(list.Resources, &gap) {
			g.r.Coverage.Gaps = append(g.r.Coverage.Gaps, gap)
		}
	}
	return nil
}

// mayHold reports whether objects of a gap's type can be in the scope. A custom
// type may have had another scope.
func (g *gatherer) mayHold(known []v1.Resource, gap *v1.Gap) bool {
	if g.q.Namespace == history.AllNamespaces {
		return true
	}
	namespaced := g.q.Namespace != history.ClusterScoped
	i := slices.IndexFunc(known, func(r v1.Resource) bool { return r.Group == gap.Group && r.Plural == gap.Resource })
	return i < 0 || known[i].Namespaced == namespaced ||
		slices.ContainsFunc(known[i].Former, func(d v1.Definition) bool { return d.Namespaced == namespaced })
}

// problems reads what is wrong at the end, and which changes may have caused
// it.
func (g *gatherer) problems(ctx context.Context) error {
	answers, more, err := Unhealthy(ctx, g.source, g.r.v1Rows(), UnhealthyQuery{
		Namespace: g.q.Namespace, At: g.until, Causes: maxCauses, Limit: maxProblems,
	})
	if err != nil {
		return err
	}
	g.r.MoreProblems = more
	for i := range answers {
		p := Problem{Why: answers[i], Diffs: make([]string, len(answers[i].Causes))}
		for n := range p.Causes {
			var wanted diffs
			wanted.want(&p.Causes[n].Change, &p.Diffs[n])
			if err := wanted.read(ctx, g.source); err != nil {
				return err
			}
		}
		g.r.Problems = append(g.r.Problems, p)
	}
	return nil
}

// compare reads what differs between the start and the end. If the history
// begins later than the start, it begins there.
func (g *gatherer) compare(ctx context.Context) error {
	from := g.q.Start
	if since := g.r.Coverage.Since; from.Before(since) {
		from = since
	}
	if from.IsZero() || !from.Before(g.q.End) {
		return nil
	}
	found, err := Compare(ctx, g.source, []client.CompareQuery{
		{From: from, To: g.until, Namespace: g.q.Namespace, Summary: true, Count: true},
	})
	if history.CodeOf(err) == history.NotFound || history.CodeOf(err) == history.Gone {
		return nil // nothing was recorded at the start
	}
	if err != nil {
		return err
	}
	c := &Compared{From: found.From, To: found.To, Existed: found.Existed}
	var hidden map[HiddenType]int
	c.Stats, hidden = found.Stats(false)
	c.Hidden, c.HiddenN = HiddenTypes(hidden)
	g.r.Compared = c
	return nil
}

// deleted reads the objects that were deleted, the newest first.
func (g *gatherer) deleted(ctx context.Context) error {
	for e, err := range g.source.All(ctx, client.EventsQuery{
		Namespace: g.q.Namespace, Start: g.q.Start, End: g.until, Order: history.NewestFirst, Limit: pageSize,
		Verbs: []history.Verb{history.Delete}, Classes: []history.Class{history.Root},
	}) {
		if err != nil {
			return err
		}
		if len(g.r.Deleted) == maxDeleted {
			g.r.MoreDeleted = true
			return nil
		}
		d := Deleted{Event: e, Manifest: e.ObjectChanges}
		d.Event.ObjectChanges = nil
		g.r.Deleted = append(g.r.Deleted, d)
	}
	return nil
}

// resourceArg returns the type of a version, as the API accepts it.
func resourceArg(e *v1.Event) string {
	return schema.GroupResource{Group: e.Group, Resource: e.ResourceType}.String()
}

// objectKey identifies an incarnation.
type objectKey struct{ namespace, resource, name, uid string }

func keyOf(e *v1.Event) objectKey {
	return objectKey{e.Namespace, resourceArg(e), e.ResourceName, e.UID}
}
