package query

import (
	"context"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Timeline asks for one page of records.
type Timeline struct {
	// Filter narrows. Its Resources are set from Types and Group.
	history.Filter

	// Types are resources in any form that kubectl takes; none means all.
	Types []string
	// Group narrows to one API group; [CoreGroup] is the core group, "" any.
	Group string

	Order history.Order
	After history.Cursor
	Limit int  // records; must be positive
	Bare  bool // without their objects
}

// Timeline returns the page. A type that is in no catalogue has no matches; that is no error.
func (s *Service) Timeline(ctx context.Context, q Timeline) (Page, error) {
	asked := scope{q.Types, q.Group, q.Namespace}
	omitted, err := s.omitted(ctx, asked)
	if err != nil {
		return Page{}, err
	}
	filter, known, err := s.filter(ctx, q)
	if err != nil {
		return Page{}, err
	}
	if !known {
		coverage, err := s.coverage(ctx, q.Start, asked)
		return Page{Exact: true, Omitted: omitted, Coverage: coverage}, err
	}
	scan := history.Scan{Filter: filter, Order: q.Order, After: q.After, Limit: q.Limit, Bodies: !q.Bare}
	page, err := s.scan(ctx, scan)
	if err != nil {
		return Page{}, err
	}
	page.Omitted = omitted
	if page.Coverage, err = s.coverage(ctx, q.Start, asked); err != nil {
		return Page{}, err
	}
	if page.Gaps, err = s.reader.Gaps(ctx, filter.Resources, filter.Start, filter.End); err != nil {
		return Page{}, err
	}
	return page, s.total(ctx, scan, &page)
}

// filter puts the resources that a question means into its filter. It reports false where it means none.
func (s *Service) filter(ctx context.Context, q Timeline) (history.Filter, bool, error) {
	filter := q.Filter
	if len(q.Types) == 0 && q.Group == "" {
		return filter, true, nil
	}
	resources, err := s.resolve(ctx, q.Types, q.Group)
	for _, r := range resources {
		filter.Resources = append(filter.Resources, r.GroupResource())
	}
	return filter, len(resources) > 0, err
}

// scan reads one page of records. It does not count.
func (s *Service) scan(ctx context.Context, scan history.Scan) (Page, error) {
	limit, size, more := scan.Limit, 0, false
	var records []*history.Record
	scan.Limit = limit + 1
	for r, err := range s.reader.Scan(ctx, scan) {
		if err != nil {
			return Page{}, err
		}
		size += len(r.Object)
		if len(records) == limit || len(records) > 0 && size > s.options.PageBytes {
			more = true
			break
		}
		records = append(records, r)
	}
	return s.page(ctx, records, scan.Order, more)
}

// page makes a page of records that are in order.
func (s *Service) page(ctx context.Context, records []*history.Record, order history.Order, more bool) (Page, error) {
	versions, err := s.narrate(ctx, records, order)
	if err != nil {
		return Page{}, err
	}
	page := Page{Versions: versions, Total: len(versions), Exact: true, More: more}
	if more {
		page.Next = history.Cursor{Time: records[len(records)-1].Time}
	}
	return page, nil
}

// total counts, where a page is not the whole answer. While records arrive and are dropped, a count may be of another
// moment than its page; it never says less than the page shows.
func (s *Service) total(ctx context.Context, scan history.Scan, page *Page) error {
	if !page.More && scan.After.IsZero() {
		return nil
	}
	least := len(page.Versions)
	if page.More {
		least++
	}
	n, exact, err := s.reader.Count(ctx, scan.Filter, s.options.Effort)
	page.Total, page.Exact = max(n, least), exact
	return err
}
