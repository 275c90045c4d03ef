package query_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// followAll reads batches until none has More. It returns the names of the
// versions, and the number of versions in each batch.
func followAll(t *testing.T, s *query.Service, q query.Timeline, window time.Duration) (names []string, sizes []int) {
	t.Helper()
	for {
		n := 0
		q.Each = func(v *query.Version) error {
			if n == 7 {
				return query.ErrFull
			}
			n++
			names = append(names, v.Ref.Name)
			return nil
		}
		batch, err := s.Follow(t.Context(), q, window, nil)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
		if batch.More && !batch.Next.After(q.After.Time) {
			t.Fatalf("batch %d: got position %v with more records, want one after %v", len(sizes), batch.Next, q.After)
		}
		q.After = batch.Next
		if !batch.More {
			return names, sizes
		}
	}
}

// Every kind of bound ends a batch. Together, the batches have each match once.
func TestFollow_BoundedBatchesMakeTheWhole(t *testing.T) {
	l := newLog(t)
	start := history.Cursor{Time: l.now}
	const n = 5_000 // more than a batch with a selector compares
	for i := 0; i < n; i += 500 {
		var records []*history.Record
		for j := range 500 {
			records = append(records, record(ref("", "pods", "shop", fmt.Sprint("pod-", i+j), 1), history.Create,
				fmt.Sprintf(`{"metadata":{"labels":{"third":"%d"}}}`, (i+j)%3)))
		}
		l.put(records...)
		l.now = l.now.Add(time.Hour)
	}
	labels, err := selector.ParseLabels("third=1")
	if err != nil {
		t.Fatal(err)
	}
	none, err := selector.ParseLabels("third=none")
	if err != nil {
		t.Fatal(err)
	}
	s := l.service(query.Options{Feed: l.Store})
	matching := func(l *selector.Selector) query.Timeline { return query.Timeline{Limit: 500, Selector: l} }
	for name, tt := range map[string]struct {
		query   query.Timeline
		window  time.Duration
		want    int
		batches int // at least
	}{
		"limit":            {query.Timeline{Limit: 5}, 1000 * time.Hour, n, n / 5},
		"full":             {query.Timeline{Limit: 500}, 1000 * time.Hour, n, n / 7},
		"window":           {query.Timeline{Limit: 500, Types: []string{"nodes"}}, time.Hour, 0, 9},
		"effort":           {matching(&selector.Selector{Labels: none}), 1000 * time.Hour, 0, 3},
		"selector":         {matching(&selector.Selector{Labels: labels}), time.Hour, n / 3, 9},
		"type without use": {query.Timeline{Limit: 500, Types: []string{"never"}}, 1000 * time.Hour, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tt.query.After = start
			names, sizes := followAll(t, s, tt.query, tt.window)
			if len(names) != tt.want && len(names) != tt.want+1 || len(sizes) < tt.batches {
				t.Errorf("got %d versions in %d batches, want %d in at least %d",
					len(names), len(sizes), tt.want, tt.batches)
			}
			if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
				t.Errorf("got %d versions, %d of them once, want each once", len(names), len(unique))
			}
		})
	}
}

func TestFollow_NeedsFeed(t *testing.T) {
	l := newLog(t)
	s := l.service(query.Options{})
	if _, err := s.FollowFrom(t.Context(), time.Time{}); history.CodeOf(err) != history.Unavailable {
		t.Errorf("position: got error %v, want one with the code unavailable", err)
	}
	if _, err := s.Follow(t.Context(), query.Timeline{}, time.Hour, nil); history.CodeOf(err) != history.Unavailable {
		t.Errorf("batch: got error %v, want one with the code unavailable", err)
	}
}

// An error of Each that is not ErrFull is returned.
func TestFollow_ReturnsErrors(t *testing.T) {
	l := newLog(t)
	after := history.Cursor{Time: l.now.Add(-time.Second)}
	l.put(record(ref("", "pods", "shop", "a", 1), history.Create, `{}`))
	oops := errors.New("oops")
	q := query.Timeline{After: after, Limit: 1, Each: func(*query.Version) error { return oops }}
	if _, err := l.service(query.Options{Feed: l.Store}).Follow(t.Context(), q, time.Hour, nil); !errors.Is(err, oops) {
		t.Errorf("got error %v, want %v", err, oops)
	}
}
