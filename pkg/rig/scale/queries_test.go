package scale_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// querier generates random queries, each about another time of the ten days and
// another object.
type querier struct {
	rng     *rand.Rand
	log     *log
	objects []history.ObjectRef // those with the most versions
	targets []history.Target
}

// query is a page that is read repeatedly, with other arguments each time.
type query struct {
	name string
	page func(g *querier) history.Scan
}

// queryTypes returns the queries that are measured.
func queryTypes() []query {
	return []query{
		{"object, 50 versions", func(g *querier) history.Scan { return g.scan(50, named(g.object())) }},
		{"time", func(g *querier) history.Scan { return g.before(100, history.Filter{}) }},
		{"namespace", func(g *querier) history.Scan {
			return g.before(100, history.Filter{Namespace: g.object().Scope()})
		}},
		{"resource", func(g *querier) history.Scan {
			return g.before(100, history.Filter{Resources: []schema.GroupResource{g.object().GroupResource()}})
		}},
		{"resource in namespace", func(g *querier) history.Scan {
			ref := g.object()
			return g.before(100,
				history.Filter{Resources: []schema.GroupResource{ref.GroupResource()}, Namespace: ref.Scope()})
		}},
		{"name", func(g *querier) history.Scan { return g.scan(100, history.Filter{Name: g.object().Name}) }},
		{"Event target", func(g *querier) history.Scan {
			return g.scan(100, history.Filter{Regarding: &g.targets[g.rng.IntN(len(g.targets))]})
		}},
		{"state of an object", func(g *querier) history.Scan { return g.before(1, named(g.object())) }},
	}
}

// named returns the filter for one name.
func named(ref history.ObjectRef) history.Filter {
	return history.Filter{
		Resources: []schema.GroupResource{ref.GroupResource()}, Namespace: ref.Scope(), Name: ref.Name,
	}
}

// object returns a random object.
func (g *querier) object() history.ObjectRef { return g.objects[g.rng.IntN(len(g.objects))] }

// scan returns a page, newest first.
func (g *querier) scan(limit int, f history.Filter) history.Scan {
	return history.Scan{Filter: f, Order: history.NewestFirst, Limit: limit}
}

// before returns a page of records before a random time in the second half of
// the log.
func (g *querier) before(limit int, f history.Filter) history.Scan {
	half := days * 12 * time.Hour
	f.End = g.log.start.Add(half + time.Duration(g.rng.Int64N(int64(half))))
	return g.scan(limit, f)
}

// measureQueries runs every query, without and with objects, and logs the
// times. "At first" means after the log was opened. It checks that the records
// match the filter and are in order.
func measureQueries(t *testing.T, s *store.Store, l *log) {
	t.Helper()
	rows := table{{"page of", "records", "p50 at first", "p50", "p99", "p50 with objects", "p99 with objects"}}
	first := map[string]time.Duration{}
	for _, q := range queryTypes() {
		cold, _ := q.run(t, s, newQuerier(t, s, l, 1), false)
		first[q.name] = percentile(cold, 50)
	}
	for _, q := range queryTypes() {
		short, records := q.run(t, s, newQuerier(t, s, l, 2), false)
		long, _ := q.run(t, s, newQuerier(t, s, l, 3), true)
		rows.add(q.name, "%.1f", records, "%v", first[q.name], "%v", percentile(short, 50), "%v", percentile(short, 99),
			"%v", percentile(long, 50), "%v", percentile(long, 99))
	}
	t.Log(rows)
}

// run runs the query, and returns the times and the number of records per page.
func (q query) run(t *testing.T, s *store.Store, g *querier, bodies bool) (times []time.Duration, perPage float64) {
	t.Helper()
	records := 0
	for range *queries {
		sc := q.page(g)
		sc.Bodies = bodies
		var page []*history.Record
		start := time.Now()
		for r, err := range s.Scan(t.Context(), sc) {
			if err != nil {
				t.Fatal(err)
			}
			page = append(page, r)
		}
		times = append(times, time.Since(start))
		records += len(page)
		q.check(t, &sc, page)
	}
	return times, float64(records) / float64(*queries)
}

// check checks one page.
func (q query) check(t *testing.T, sc *history.Scan, page []*history.Record) {
	t.Helper()
	if len(page) == 0 || len(page) > sc.Limit {
		t.Errorf("%s: got %d records, want some and at most %d", q.name, len(page), sc.Limit)
	}
	for i, r := range page {
		if !sc.Matches(r) || i > 0 && !r.Time.Before(page[i-1].Time) || (len(r.Object) > 0) != sc.Bodies {
			t.Errorf("%s: got record %d of %s at %v, with %d bytes, want a match in order, with bytes %t",
				q.name, i, r.Ref, r.Time, len(r.Object), sc.Bodies)
		}
	}
}

// newQuerier returns a querier for objects with many versions, of all
// resources, and for the targets of Events. Each seed gives other queries.
func newQuerier(t *testing.T, s *store.Store, l *log, seed uint64) *querier {
	t.Helper()
	g := &querier{rng: rand.New(rand.NewPCG(seed, uint64(l.n))), log: l} //nolint:gosec // repeatable
	uids := slices.Sorted(maps.Keys(l.expected.of))
	slices.SortStableFunc(uids, func(x, y types.UID) int { return len(l.expected.of[y]) - len(l.expected.of[x]) })
	for _, uid := range uids[:max(1, len(uids)/10)] {
		for r, err := range s.Scan(t.Context(), history.Scan{Filter: history.Filter{UID: uid}, Limit: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Time.Before(l.start.Add(days * 12 * time.Hour)) {
				g.objects = append(g.objects, r.Ref)
			}
		}
	}
	events := history.Filter{Resources: []schema.GroupResource{{Resource: "events"}}}
	for range 20 {
		for r, err := range s.Scan(t.Context(), g.before(5, events)) {
			if err != nil {
				t.Fatal(err)
			}
			g.targets = append(g.targets, *r.Regarding)
		}
	}
	return g
}

// percentile returns the p-th percentile of the times.
func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(time.Microsecond)
}
