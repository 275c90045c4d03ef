package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Timeline is a query for one page of records.
type Timeline struct {
	// Filter selects records. Its Resources are set from Types and Group.
	history.Filter

	// Types are resources in any form that kubectl accepts. Empty means all.
	Types []string
	// Group is an API group, or [CoreGroup]. Empty means all.
	Group string

	Order history.Order
	After history.Cursor
	Limit int  // records; must be positive
	Bare  bool // without objects

	// Each, if set, is called with the versions of the page, in order, instead
	// of collecting them in [Page.Versions]. It must not keep the version. Its
	// error ends the query and is returned.
	Each func(*Version) error
	// Rest means that the question reads a part of an earlier page again. The
	// page then has versions only: no total, and nothing that surrounds them.
	Rest bool
}

// Timeline returns the page. A type that names no resource matches no record,
// which is not an error.
func (s *Service) Timeline(ctx context.Context, q Timeline) (Page, error) {
	asked := scope{q.Types, q.Group, q.Namespace}
	all, err := s.everything(ctx)
	if err != nil {
		return Page{}, err
	}
	seen, err := s.see(ctx, all, asked, q.Name)
	if err != nil {
		return Page{}, err
	}
	ignored := seen.ignored(asked)
	coverage := seen.coverage(q.Start, asked)
	filter, known := withResources(q.Filter, seen.catalogue, q.Types, q.Group)
	if !known {
		return Page{Exact: true, Ignored: ignored, Coverage: coverage}, nil
	}
	filter.View = seen.view
	scan := history.Scan{Filter: filter, Order: q.Order, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	page, err := s.scan(ctx, scan, q.Each)
	if err != nil {
		return Page{}, err
	}
	if q.Rest {
		return page, nil
	}
	page.Ignored, page.Coverage = ignored, coverage
	if page.Gaps, err = s.reader.Gaps(ctx, filter.Resources, filter.Start, filter.End); err != nil {
		return Page{}, err
	}
	page.Gaps = seen.restrict(page.Gaps)
	return page, s.total(ctx, scan, &page)
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

// scan reads one page of records, and passes its versions to each. It does not
// count all matches.
//
// It makes several short reads, each of the log as it is then. Records that are
// dropped meanwhile are missing, as on the next page, and records that are
// appended come last.
func (s *Service) scan(ctx context.Context, scan history.Scan, each func(*Version) error) (Page, error) {
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
func (s *Service) total(ctx context.Context, scan history.Scan, page *Page) error {
	if !page.More && scan.After.IsZero() {
		return nil
	}
	least := page.Count
	if page.More {
		least++
	}
	n, exact, err := s.reader.Count(ctx, scan.Filter, s.options.Effort)
	page.Total, page.Exact = max(n, least), exact
	return err
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
	seen, err := s.see(ctx, all, scope{types: q.Types, group: q.Group}, "")
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
