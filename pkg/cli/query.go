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

// result is the merged result of several queries.
type result struct {
	events   []v1.Event // newest first
	matches  []int      // the number of matches of each query
	exact    bool       // false means that there are at least so many matches
	cut      bool       // older records were omitted
	gaps     []v1.Gap   // that overlap the time of the result, in the order of their starts
	ignored  ignoreRules
	coverage coverage

	newestOf []time.Time          // the time of each query's newest record; zero if it has none
	withGaps []client.EventsQuery // the queries that gaps overlap
}

// newest reads the newest records of all queries, as many as the window allows.
// No two queries match the same record.
//
// All of the newest records may match one query. So each query is read up to
// the limit, and the limit is applied again to the merged records.
func (s *session) newest(ctx context.Context, queries []client.EventsQuery, w *window) (*result, error) {
	r := &result{events: []v1.Event{}, exact: true}
	for _, q := range queries {
		q.Order, q.Start, q.End = history.NewestFirst, w.start, w.end
		if err := s.read(ctx, q, w, r); err != nil {
			return nil, err
		}
	}
	// The limit applies to the merged records: any query may have the newest.
	slices.SortStableFunc(r.events, func(x, y v1.Event) int { return y.Timestamp.Compare(x.Timestamp) })
	if w.limit > 0 && len(r.events) > w.limit {
		r.events, r.cut = r.events[:w.limit], true
	}
	var err error
	r.gaps, err = s.gaps(ctx, r.withGaps, r.start(w), w.end)
	return r, err
}

// start returns the start of the result's time: that of its oldest record if
// older ones were omitted, otherwise that of the window.
func (r *result) start(w *window) time.Time {
	if r.cut {
		return r.events[len(r.events)-1].Timestamp
	}
	return w.start
}

// read appends the newest records of one query to r, page by page.
//
// Matches, gaps, rules and coverage are those of the last page. Every page has
// them for the whole query.
func (s *session) read(ctx context.Context, q client.EventsQuery, w *window, r *result) error {
	newest := time.Time{}
	for n := 0; ; {
		q.Limit = w.pageSize(n)
		page, err := s.Events(ctx, q)
		if err != nil {
			return err
		}
		if n == 0 && len(page.Events) > 0 {
			newest = page.Events[0].Timestamp
		}
		r.events = append(r.events, page.Events...)
		n += len(page.Events)
		if !page.HasMore || w.limit > 0 && n >= w.limit {
			r.newestOf = append(r.newestOf, newest)
			r.endQuery(q, n, &page.Page)
			return nil
		}
		q.Cursor = page.Next
	}
}

// endQuery adds what the last page of a query reports about the whole query, of
// which n records or rows were read.
func (r *result) endQuery(q client.EventsQuery, n int, page *client.Page) {
	r.matches = append(r.matches, max(page.Total, n))
	r.exact = r.exact && page.TotalExact
	r.cut = r.cut || page.HasMore
	r.ignored.add(page.Ignored)
	r.coverage.add(page)
	if page.Gaps > 0 {
		r.withGaps = append(r.withGaps, q)
	}
}

// cutNote returns a note that older records were omitted, or "" if none were.
//
// Without a cut, there may be fewer records than matches: records that arrive
// while the pages are read are counted, but not read.
func (r *result) cutNote(noun string) string {
	if !r.cut || len(r.events) == 0 {
		return ""
	}
	matches := 0
	for _, n := range r.matches {
		matches += n
	}
	count := fmt.Sprint(max(matches, len(r.events)+1))
	if !r.exact {
		count = "at least " + count
	}
	return fmt.Sprintf("Showing the newest %d of %s %s: --limit=0 shows all, --since or a type shows fewer.",
		len(r.events), count, noun)
}

// hasHistory reports whether an object has history. A uid restricts it to one
// incarnation.
func (s *session) hasHistory(ctx context.Context, sub subject, uid string) (bool, error) {
	found, err := s.newestVersions(ctx, sub, uid, 1)
	return len(found) > 0, err
}

// newestVersions returns the newest versions of a type's objects, or of one
// object, without bodies. The limit applies to each namespace.
func (s *session) newestVersions(
	ctx context.Context, sub subject, uid string, limit int,
) (found []v1.Event, err error) {
	for _, namespace := range sub.namespaces(s.namespace) {
		page, err := s.Events(ctx, client.EventsQuery{
			Namespace: namespace, Resources: []string{sub.resourceArg()}, Name: sub.name, UID: uid,
			Order: history.NewestFirst, Limit: limit, Summary: true,
		})
		if err != nil {
			return nil, err
		}
		found = append(found, page.Events...)
	}
	slices.SortStableFunc(found, func(a, b v1.Event) int { return b.Timestamp.Compare(a.Timestamp) })
	return found, nil
}

// incarnations returns the UIDs of an object's newest versions, newest first.
func (s *session) incarnations(ctx context.Context, sub subject) (uids []string, err error) {
	found, err := s.newestVersions(ctx, sub, "", defaultChunkSize)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if uid := found[i].UID; !slices.Contains(uids, uid) {
			uids = append(uids, uid)
		}
	}
	return uids, nil
}
