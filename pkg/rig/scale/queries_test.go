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

// asker makes up questions: each is about another moment of the ten days, and about another object, with a seed of its own.
type asker struct {
	rng     *rand.Rand
	log     *log
	objects []history.ObjectRef // with the most versions
	targets []history.Target
}

// question is a page that is asked for again and again.
type question struct {
	name string
	page func(a *asker) history.Scan
}

func questions() []question {
	return []question{
		{"object, 50 versions", func(a *asker) history.Scan { return a.scan(50, named(a.object())) }},
		{"time", func(a *asker) history.Scan { return a.before(100, history.Filter{}) }},
		{"namespace", func(a *asker) history.Scan { return a.before(100, history.Filter{Namespace: a.object().Scope()}) }},
		{"resource", func(a *asker) history.Scan {
			return a.before(100, history.Filter{Resources: []schema.GroupResource{a.object().GroupResource()}})
		}},
		{"resource in namespace", func(a *asker) history.Scan {
			ref := a.object()
			return a.before(100, history.Filter{Resources: []schema.GroupResource{ref.GroupResource()}, Namespace: ref.Scope()})
		}},
		{"name", func(a *asker) history.Scan { return a.scan(100, history.Filter{Name: a.object().Name}) }},
		{"Event target", func(a *asker) history.Scan {
			return a.scan(100, history.Filter{Regarding: &a.targets[a.rng.IntN(len(a.targets))]})
		}},
		{"state of an object", func(a *asker) history.Scan { return a.before(1, named(a.object())) }},
	}
}

func named(ref history.ObjectRef) history.Filter {
	return history.Filter{Resources: []schema.GroupResource{ref.GroupResource()}, Namespace: ref.Scope(), Name: ref.Name}
}

func (a *asker) object() history.ObjectRef { return a.objects[a.rng.IntN(len(a.objects))] }

func (a *asker) scan(limit int, f history.Filter) history.Scan {
	return history.Scan{Filter: f, Order: history.NewestFirst, Limit: limit}
}

// before asks for what was before a moment of the second half of the log.
func (a *asker) before(limit int, f history.Filter) history.Scan {
	half := days * 12 * time.Hour
	f.End = a.log.start.Add(half + time.Duration(a.rng.Int64N(int64(half))))
	return a.scan(limit, f)
}

// ask asks every question, without and with objects, checks that the filter selects what is answered and that it is in order, and
// tells the times: those of a log that was just opened, and those of one that has been asked as much already.
func ask(t *testing.T, s *store.Store, l *log) {
	t.Helper()
	rows := table{{"page of", "records", "p50 at first", "p50", "p99", "p50 with objects", "p99 with objects"}}
	first := map[string]time.Duration{}
	for _, q := range questions() {
		cold, _ := q.ask(t, s, newAsker(t, s, l, 1), false)
		first[q.name] = percentile(cold, 50)
	}
	for _, q := range questions() {
		short, records := q.ask(t, s, newAsker(t, s, l, 2), false)
		long, _ := q.ask(t, s, newAsker(t, s, l, 3), true)
		rows.add(q.name, "%.1f", records, "%v", first[q.name], "%v", percentile(short, 50), "%v", percentile(short, 99),
			"%v", percentile(long, 50), "%v", percentile(long, 99))
	}
	t.Log(rows)
}

func (q question) ask(t *testing.T, s *store.Store, a *asker, bodies bool) (times []time.Duration, perPage float64) {
	t.Helper()
	records := 0
	for range *queries {
		sc := q.page(a)
		sc.Bodies = bodies
		var page []*history.Record
		began := time.Now()
		for r, err := range s.Scan(t.Context(), sc) {
			if err != nil {
				t.Fatal(err)
			}
			page = append(page, r)
		}
		times = append(times, time.Since(began))
		records += len(page)
		q.check(t, &sc, page)
	}
	return times, float64(records) / float64(*queries)
}

func (q question) check(t *testing.T, sc *history.Scan, page []*history.Record) {
	t.Helper()
	if len(page) == 0 || len(page) > sc.Limit {
		t.Errorf("%s: %d records, want some and at most %d", q.name, len(page), sc.Limit)
	}
	for i, r := range page {
		if !sc.Matches(r) || i > 0 && !r.Time.Before(page[i-1].Time) || (len(r.Object) > 0) != sc.Bodies {
			t.Errorf("%s: record %d is %s at %v, with %d bytes", q.name, i, r.Ref, r.Time, len(r.Object))
		}
	}
}

// newAsker returns one that knows objects of many versions, of all resources, and what Events are about. With another seed it asks
// about others.
func newAsker(t *testing.T, s *store.Store, l *log, seed uint64) *asker {
	t.Helper()
	a := &asker{rng: rand.New(rand.NewPCG(seed, uint64(l.n))), log: l} //nolint:gosec // repeatable
	uids := slices.Sorted(maps.Keys(l.truth.of))
	slices.SortStableFunc(uids, func(x, y types.UID) int { return len(l.truth.of[y]) - len(l.truth.of[x]) })
	for _, uid := range uids[:max(1, len(uids)/10)] {
		for r, err := range s.Scan(t.Context(), history.Scan{Filter: history.Filter{UID: uid}, Limit: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			if r.Time.Before(l.start.Add(days * 12 * time.Hour)) {
				a.objects = append(a.objects, r.Ref)
			}
		}
	}
	events := history.Filter{Resources: []schema.GroupResource{{Resource: "events"}}}
	for range 20 {
		for r, err := range s.Scan(t.Context(), a.before(5, events)) {
			if err != nil {
				t.Fatal(err)
			}
			a.targets = append(a.targets, *r.Regarding)
		}
	}
	return a
}

func percentile(times []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)].Round(time.Microsecond)
}
