package query_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// countingLog is a log that counts the objects of Events that are read.
type countingLog struct {
	*store.Store

	objects int
}

func (c *countingLog) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for r, err := range c.Store.Scan(ctx, scan) {
			if err == nil && scan.Regarding != nil && scan.Bodies {
				c.objects++
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// TestObject_SearchOfEventsIsBounded reads Events with a reason that few or
// most of them have, of a Deployment and its descendants. A page ends early if
// its effort ends, and all pages together are complete.
func TestObject_SearchOfEventsIsBounded(t *testing.T) {
	const effort, limit, events = 100, 10, 1200
	l := newLog(t)
	deployment, set := ref("apps", "deployments", "shop", "web", 1), ref("apps", "replicasets", "shop", "web-1", 1)
	l.put(record(deployment, history.Create, `{}`), owned(set, deployment))
	want := map[string][]string{}
	var batch history.Batch
	for i := range events {
		of, reason := deployment, "Common"
		if i%3 == 0 {
			of = set
		}
		if i%250 == 7 {
			reason = "Rare"
		}
		r := event(fmt.Sprint("e", i), of, of.UID)
		r.Object = fmt.Appendf(nil, `{"reason":%q}`, reason)
		batch.Versions = append(batch.Versions, history.NewVersion{Record: r})
		want[reason] = append(want[reason], r.Ref.Name)
	}
	if err := l.Append(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	log := &countingLog{Store: l.Store}
	s := query.New(log, query.Options{Effort: effort})
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for reason, want := range want {
			q := query.Object{
				Namespace: "shop", Type: "deployments", Name: "web", Descendants: true, Order: order, Limit: limit,
				Selector: &selector.Selector{Reasons: []string{reason}}, Bare: true,
			}
			var got []string
			for pages := 0; ; pages++ {
				log.objects = 0
				h, err := s.Object(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				// Each of the two calls of the collector has the effort, and a
				// fraction for the total.
				if most := 3*effort + limit; log.objects > most {
					t.Errorf("%s, order %d, page %d: got %d objects read, want at most %d",
						reason, order, pages, log.objects, most)
				}
				if len(h.Related.Versions) > limit || h.Related.Total < len(h.Related.Versions) ||
					h.Related.Total > len(want) || h.Related.Exact && h.Related.Total != len(want) {
					t.Errorf("%s, order %d, page %d: got %d of %d Events, exact %t, want at most %d of %d",
						reason, order, pages, len(h.Related.Versions), h.Related.Total, h.Related.Exact,
						limit, len(want))
				}
				got = append(got, names(h.Related)...)
				if !h.Related.More || pages > events {
					break
				}
				q.RelatedAfter = h.Related.Next
			}
			if order == history.NewestFirst {
				want = slices.Clone(want)
				slices.Reverse(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, order %d: got %d Events %v, want %d", reason, order, len(got), got, len(want))
			}
		}
	}
}

// TestObject_SmallSearchOfEventsIsExact checks that the total is exact on every
// page if the effort suffices.
func TestObject_SmallSearchOfEventsIsExact(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	l.put(record(web, history.Create, `{}`))
	for i := range 7 {
		l.put(event(fmt.Sprint("e", i), web, web.UID))
	}
	q := query.Object{
		Namespace: "shop", Type: "pods", Name: "web", Limit: 3,
		Selector: &selector.Selector{Reasons: []string{"Scheduled"}},
	}
	for page := range 3 {
		h, err := l.service(query.Options{}).Object(t.Context(), q)
		if err != nil || h.Related.Total != 7 || !h.Related.Exact || h.Related.More != (page < 2) {
			t.Errorf("page %d: got a total of %d, exact %t, more %t, error %v, want exactly 7",
				page, h.Related.Total, h.Related.Exact, h.Related.More, err)
		}
		q.RelatedAfter = h.Related.Next
	}
}
