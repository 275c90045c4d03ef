package query

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// State is a query for one page of a state: objects as they were at a time.
type State struct {
	Objects

	At    time.Time           // inclusive; zero: now
	After history.StateCursor // of the previous page; it replaces At
	Limit int                 // versions; must be positive

	// Problem selects the objects that had a problem at the time. Events are
	// left out: they are about a moment.
	Problem bool
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
// A page ends early if its objects exceed [Options.PageBytes]. One of objects
// with a problem also ends after [Options.Effort] objects, and may be empty
// although more follow.
func (s *Service) State(ctx context.Context, q State) (StatePage, error) {
	m, filter, until, err := s.moments(ctx, q.Objects, time.Time{}, q.At, &q.After)
	page := StatePage{Moments: m}
	if err != nil {
		return page, err
	}
	scan := history.StateScan{Filter: filter, At: until, After: q.After.After, Limit: q.Limit + 1, Bodies: true}
	if q.Problem {
		scan.Limit = s.options.Effort + 1
	}
	symptoms := s.options.Symptoms()
	size, read, more := 0, 0, false
	last := q.After.After
	for r, err := range s.reader.State(ctx, scan) {
		if err != nil {
			return StatePage{Moments: m}, tooOld(m.At, err)
		}
		if q.Problem {
			if read++; read == scan.Limit {
				more = true
				break
			}
			failing, err := hasProblem(ctx, symptoms, r, m.At)
			if err != nil {
				return StatePage{Moments: m}, err
			}
			if !failing {
				last = r.Ref
				continue
			}
		}
		size += len(r.Object)
		if n := len(page.Versions); n == q.Limit || n > 0 && size > s.options.PageBytes {
			more = true
			break
		}
		page.Versions = append(page.Versions, r)
		last = r.Ref
	}
	page.finish(len(page.Versions), &q.After, until, last, more)
	return page, s.hideRecordHashes(ctx, page.Versions)
}

// hasProblem reports whether an object has a problem at a time. It is false for
// an Event.
func hasProblem(ctx context.Context, symptoms *symptom.Extra, r *history.Record, at time.Time) (bool, error) {
	if r.Regarding != nil {
		return false, nil
	}
	found, err := symptoms.At(ctx, r, at)
	return len(found) > 0, err
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
