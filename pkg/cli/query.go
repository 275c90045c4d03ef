package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// answer is what several queries found.
type answer struct {
	events  []v1.Event // newest first
	matches []int      // of each query
	exact   bool       // false: there are at least so many matches
	cut     bool       // older records were left out
	gaps    []v1.Gap   // that touch the time of the answer, in the order of their starts
	ignored ignored
	covered coverage

	blind []client.EventsQuery // those of the queries that gaps touch
}

// newest reads the newest records of all queries together, as many as the window allows. No two queries find the same record.
func (s *session) newest(ctx context.Context, queries []client.EventsQuery, w *window) (*answer, error) {
	a := &answer{events: []v1.Event{}, exact: true}
	for _, q := range queries {
		q.Order, q.Start, q.End = history.NewestFirst, w.start, w.end
		if err := s.read(ctx, q, w, a); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(a.events, func(x, y v1.Event) int { return y.Timestamp.Compare(x.Timestamp) })
	if w.limit > 0 && len(a.events) > w.limit {
		a.events, a.cut = a.events[:w.limit], true
	}
	var err error
	a.gaps, err = s.gaps(ctx, a.blind, a.start(w), w.end)
	return a, err
}

// start is when the time of the answer begins: with its oldest record, where older ones were left out.
func (a *answer) start(w *window) time.Time {
	if a.cut {
		return a.events[len(a.events)-1].Timestamp
	}
	return w.start
}

// read appends the newest records of one query, page by page.
func (s *session) read(ctx context.Context, q client.EventsQuery, w *window, a *answer) error {
	for n := 0; ; {
		q.Limit = w.chunkSize
		if w.limit > 0 {
			q.Limit = min(q.Limit, w.limit-n)
		}
		page, err := s.Events(ctx, q)
		if err != nil {
			return err
		}
		a.events = append(a.events, page.Events...)
		n += len(page.Events)
		if !page.HasMore || w.limit > 0 && n >= w.limit {
			a.matches = append(a.matches, max(page.Total, n))
			a.exact = a.exact && page.TotalExact
			a.cut = a.cut || page.HasMore
			a.ignored.add(page.Ignored)
			a.covered.add(&page.Page)
			if page.Gaps > 0 {
				a.blind = append(a.blind, q)
			}
			return nil
		}
		q.Cursor = page.Next
	}
}

// cutNote says that an answer is not the whole one, and how to get that; "" where it is.
func (a *answer) cutNote(what string) string {
	if !a.cut || len(a.events) == 0 { // without being cut it may be less than the matches, for more arrive while it is read
		return ""
	}
	matches := 0
	for _, n := range a.matches {
		matches += n
	}
	count := fmt.Sprint(max(matches, len(a.events)+1))
	if !a.exact {
		count = "at least " + count
	}
	return fmt.Sprintf("These are the newest %d of %s %s: --limit=0 shows all, --since or a type fewer.", len(a.events), count, what)
}
