package query

import (
	"context"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// Timeline is a query for one page of records.
type Timeline struct {
	// Filter selects records. Its Resources are set from Types and Group.
	history.Filter

	// Namespaces selects the objects in any of these scopes. Empty means all.
	Namespaces []history.NamespaceScope
	// Selector selects records by their contents. nil means all.
	Selector *selector.Selector

	// Types are resources in any form that kubectl accepts. Empty means all.
	Types []string
	// Group is an API group, or [CoreGroup]. Empty means all.
	Group string

	Order history.Order
	After history.Cursor
	Limit int  // records; must be positive
	Bare  bool // without objects
	// Endings adds to each root change how it ended. It takes several reads of
	// the log for each.
	Endings bool
	// Previous adds to each update the object in the version before, unless
	// Bare is set. It takes a read of the log for each. These objects are not
	// part of [Options.PageBytes].
	Previous bool

	// Consequences is the largest number of consequences of each row of a
	// folded page that are returned.
	Consequences int

	// Each, if set, is called with the versions of the page, in order, instead
	// of collecting them in [Page.Versions]. It must not keep the version. Its
	// error ends the query and is returned.
	Each func(*Version) error
	// Rest, if set, means that the question reads a part of an earlier page
	// again, whose [Page.End] it is. The page then has versions only: no total,
	// and nothing that surrounds them. The effort is not bounded, because that
	// of the earlier page was.
	Rest history.Cursor
}

// Timeline returns the page. A type that names no resource matches no record,
// which is not an error.
func (s *Service) Timeline(ctx context.Context, q Timeline) (Page, error) {
	q.narrow()
	asked := q.scopes()
	all, err := s.everything(ctx)
	if err != nil {
		return Page{}, err
	}
	seen, err := s.see(ctx, all, q.Name, asked...)
	if err != nil {
		return Page{}, err
	}
	restricted := false
	if q.Rest.IsZero() {
		if restricted, err = s.restricted(ctx, all, seen.view, q.Name, asked...); err != nil {
			return Page{}, err
		}
	}
	ignored := seen.ignored(asked...)
	coverage := seen.coverage(q.Start, asked...)
	filter, known := withResources(q.Filter, seen.catalogue, q.Types, q.Group)
	if !known {
		return Page{Exact: true, Ignored: ignored, Coverage: coverage, Restricted: restricted}, nil
	}
	filter.View = inNamespaces(seen, q.Namespaces)
	over, err := s.isOver(ctx, q.End, q.Rest, seen.view, q.Name)
	if err != nil {
		return Page{}, err
	}
	scan := history.Scan{Filter: filter, Order: q.Order, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	each := q.Each
	var versions []Version
	previous := q.Previous && !q.Bare
	if previous {
		each = s.withPrevious(ctx, each, &versions)
	}
	if q.Endings {
		e, err := s.endingsOf(ctx, q)
		if err != nil {
			return Page{}, err
		}
		each = e.each(ctx, each, &versions)
	}
	page, err := s.scan(ctx, scan, q.Selector, q.Rest, each)
	if err != nil {
		return Page{}, err
	}
	if q.Endings || previous {
		page.Versions = versions
	}
	if !q.Rest.IsZero() {
		return page, nil
	}
	page.Ignored, page.Coverage, page.Restricted = ignored, coverage, restricted
	if page.Gaps, err = s.reader.Gaps(ctx, filter.Resources, filter.Start, filter.End); err != nil {
		return Page{}, err
	}
	page.Gaps = seen.restrict(page.Gaps)
	page.Final = over && !page.early && !slices.ContainsFunc(page.Gaps, history.Gap.Open)
	return page, s.total(ctx, scan, q.Selector, &page)
}

// isOver reports whether a question's time has ended before the newest record
// of the view or long ago, so that no further record can be in it. It must be
// called before the records are read. A question without an end is never over,
// and a rest of a page does not need to know.
func (s *Service) isOver(
	ctx context.Context, end time.Time, rest history.Cursor, view history.View, name string,
) (bool, error) {
	if end.IsZero() || !rest.IsZero() {
		return false, nil
	}
	now, newest, err := s.present(ctx, view, name)
	return !end.After(newest) || end.Before(now.Add(-commitTolerance)), err
}

// scopes returns the scopes that the question is about.
func (q *Timeline) scopes() []scope {
	if len(q.Namespaces) == 0 {
		return []scope{{q.Types, q.Group, q.Namespace}}
	}
	var scopes []scope
	for _, namespace := range q.Namespaces {
		scopes = append(scopes, scope{q.Types, q.Group, namespace})
	}
	return scopes
}

// narrow sets the fields of the filter that the selector and the namespaces
// imply, so that the log uses its narrowest index. It does not change which
// records match.
func (q *Timeline) narrow() {
	if len(q.Namespaces) == 1 && q.Namespace == history.AllNamespaces {
		q.Namespace, q.Namespaces = q.Namespaces[0], nil
	}
	if q.Selector == nil {
		return
	}
	of := q.Selector.Fields
	if name, exact := of.Exact(selector.FieldName); exact && q.Name == "" {
		q.Name = name
	}
	if uid, exact := of.Exact(selector.FieldUID); exact && q.UID == "" {
		q.UID = types.UID(uid)
	}
	namespace, exact := of.Exact(selector.FieldNamespace)
	if exact && len(q.Namespaces) == 0 && q.Namespace == history.AllNamespaces {
		q.Namespace = history.ScopeOf(namespace)
	}
	if q.Selector.EventsOnly() && len(q.Types) == 0 {
		q.Types = []string{history.EventResources()[0].Resource}
	}
}

// inNamespaces returns the part of a sight's view that is in one of the scopes.
// No scopes mean everything. The log reads such a view by the ranges of its
// resources and namespaces.
func inNamespaces(seen sight, scopes []history.NamespaceScope) history.View {
	if len(scopes) == 0 || slices.Contains(scopes, history.AllNamespaces) {
		return seen.view
	}
	narrow := history.View{}
	for _, r := range seen.catalogue {
		all, inside := seen.view[r.GroupResource()], map[string]time.Time{}
		for _, scope := range scopes {
			namespace, _ := scope.Namespace()
			since, granted := all.Namespaces[namespace]
			if granted || all.All || seen.view == nil {
				inside[namespace] = since
			}
		}
		if len(inside) > 0 {
			narrow[r.GroupResource()] = history.Grant{Namespaces: inside}
		}
	}
	return narrow
}

// withResources adds the resources that types and group select to the filter.
// It reports false if they select none.
func withResources(
	f history.Filter, catalogue []history.Resource, types []string, group string,
) (history.Filter, bool) {
	if len(types) == 0 && group == "" {
		return f, true
	}
	resources := choose(catalogue, types, group)
	for _, r := range resources {
		f.Resources = append(f.Resources, r.GroupResource())
	}
	return f, len(resources) > 0
}

// scan reads one page of the records that a scan and a selector select, and
// passes its versions to each. It does not count all matches. If rest is not
// zero, it reads the rest of an earlier page, which ends there.
//
// It makes several short reads, each of the log as it is then. Records that are
// dropped meanwhile are missing, as on the next page, and records that are
// appended come last.
func (s *Service) scan(
	ctx context.Context, scan history.Scan, sel *selector.Selector, rest history.Cursor, each func(*Version) error,
) (Page, error) {
	scan = upTo(scan, rest)
	if !sel.IsZero() {
		m := s.newSearch(ctx, scan, sel, s.options.Effort)
		if !rest.IsZero() {
			m.effort, m.stop = math.MaxInt, time.Time{}
		}
		return m.page(ctx, each)
	}
	b, limit := s.newPage(scan.Order, each), scan.Limit
	for more := true; more && !b.page.More; scan.After = b.page.End {
		scan.Limit = min(limit-b.page.Count+1, b.nextRead()) // the record after the limit shows that there are more
		var err error
		if more, err = s.addRead(ctx, b, scan, limit); err != nil {
			return Page{}, err
		}
		if err := b.flush(ctx); err != nil {
			return Page{}, err
		}
	}
	return b.finish(ctx)
}

// upTo returns the part of a scan up to a record. A zero position means all.
func upTo(scan history.Scan, last history.Cursor) history.Scan {
	switch end := last.Add(1); {
	case last.IsZero():
	case scan.Order == history.NewestFirst && scan.Start.Before(last.Time):
		scan.Start = last.Time
	case scan.Order == history.OldestFirst && (scan.End.IsZero() || scan.End.After(end)):
		scan.End = end
	}
	return scan
}

// addRead adds the records of one scan to a page, unless the page is full then.
// It reports whether further records may follow.
func (s *Service) addRead(ctx context.Context, b *pageBuilder, scan history.Scan, limit int) (more bool, err error) {
	n := 0
	for r, err := range s.reader.Scan(ctx, scan) {
		if err != nil {
			return false, err
		}
		if b.page.Count == limit || b.page.Count > 0 && b.page.bytes+len(r.Object) > s.options.PageBytes {
			b.page.More = true
			return true, nil
		}
		if b.add(r); b.isFull() {
			return true, nil
		}
		n++
	}
	return n == scan.Limit, nil
}

// total counts all matches, unless the page has all of them.
//
// Records may be appended or dropped between the scan and the count. So the
// total is raised to the number of records that the page shows.
//
// Matches of a selector are counted by reading them again. They, and records
// that are scattered among those of others, are counted with a fraction of the
// effort. So their total is often not exact.
func (s *Service) total(ctx context.Context, scan history.Scan, sel *selector.Selector, page *Page) error {
	if !page.More && scan.After.IsZero() {
		return nil
	}
	least := page.Count
	if page.More && !page.early {
		least++
	}
	effort := s.options.Effort
	if isScattered(&scan.Filter) {
		effort = max(effort/countFraction, 1)
	}
	count := func() (int, bool, error) { return s.reader.Count(ctx, scan.Filter, effort) }
	if !sel.IsZero() {
		count = func() (int, bool, error) { return s.countMatches(ctx, scan.Filter, sel) }
	}
	n, exact, err := count()
	page.Total, page.Exact = max(n, least), exact
	return err
}

// manyPlaces is the number of [places] up to which a view is not scattered.
const manyPlaces = 16

// isScattered reports whether a filter selects records in many places. Most
// keys between the records are then those of others, or the records are merged
// from many ranges of keys.
func isScattered(f *history.Filter) bool { return places(f) > manyPlaces }

// places returns the number of pairs of a resource and a namespace that a
// filter of many namespaces is restricted to. It is 0 if the caller may read
// whole resources only.
func places(f *history.Filter) int {
	if _, one := f.Namespace.Namespace(); one {
		return 0
	}
	n := 0
	for _, grant := range f.View {
		if !grant.All {
			n += len(grant.Namespaces)
		}
	}
	return n
}

// Gaps is a query for gaps.
type Gaps struct {
	Start, End time.Time // a zero End means no end
	Types      []string  // as in [Timeline]
	Group      string    // as in [Timeline]
}

// Gaps returns the gaps that touch the question's time and resources, ordered
// by their starts.
func (s *Service) Gaps(ctx context.Context, q Gaps) ([]history.Gap, error) {
	all, err := s.everything(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := s.see(ctx, all, "", scope{types: q.Types, group: q.Group})
	if err != nil {
		return nil, err
	}
	filter, known := withResources(history.Filter{}, seen.catalogue, q.Types, q.Group)
	if !known {
		return nil, nil
	}
	gaps, err := s.reader.Gaps(ctx, filter.Resources, q.Start, q.End)
	return seen.restrict(gaps), err
}
