package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// State is a query for one page of a state: objects as they were at a time.
type State struct {
	Objects

	At    time.Time           // inclusive; zero: now
	After history.StateCursor // of the previous page; it replaces At
	Limit int                 // versions; must be positive
}

// StatePage is a page of a state, in the order of [history.ObjectRef.Compare].
type StatePage struct {
	Moments

	// Versions are the newest versions that the objects had, with bodies.
	Versions []*history.Record
}

// State returns the page. If nothing was recorded at the time, the error is a
// [TimeError], and the page has the coverage.
//
// A page ends early if its objects exceed [Options.PageBytes].
func (s *Service) State(ctx context.Context, q State) (StatePage, error) {
	m, filter, until, err := s.moments(ctx, q.Objects, time.Time{}, q.At, &q.After)
	page := StatePage{Moments: m}
	if err != nil {
		return page, err
	}
	scan := history.StateScan{Filter: filter, At: until, After: q.After.After, Limit: q.Limit + 1, Bodies: true}
	size, more := 0, false
	for r, err := range s.reader.State(ctx, scan) {
		if err != nil {
			return StatePage{Moments: m}, tooOld(m.At, err)
		}
		size += len(r.Object)
		if n := len(page.Versions); n == q.Limit || n > 0 && size > s.options.PageBytes {
			more = true
			break
		}
		page.Versions = append(page.Versions, r)
	}
	last := q.After.After
	if n := len(page.Versions); n > 0 {
		last = page.Versions[n-1].Ref
	}
	page.finish(len(page.Versions), &q.After, until, last, more)
	return page, s.hideRecordHashes(ctx, page.Versions)
}

// hideRecordHashes is hideHashes for records.
func (s *Service) hideRecordHashes(ctx context.Context, records []*history.Record) error {
	versions := make([]Version, len(records))
	for i, r := range records {
		versions[i].Record = r
	}
	err := s.hideHashes(ctx, versions)
	for i := range versions {
		records[i] = versions[i].Record
	}
	return err
}
