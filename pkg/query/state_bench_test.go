package query_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

const (
	benchObjects = 10_000
	benchPage    = 1000
)

// benchLog returns a log of 10,000 pods of 4 KB that were created two days ago.
// Half of them changed a day ago, and 1 in 100 changed in the last hour. It
// also returns the times between.
func benchLog(b *testing.B) (s *store.Store, created, changed, now time.Time) {
	b.Helper()
	now = time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	clock := now.Add(-48 * time.Hour)
	s, err := store.Open(b.TempDir(), store.Options{NoSync: true, Now: func() time.Time { return clock }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := s.Register(b.Context(), history.Resource{
		Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true,
	}); err != nil {
		b.Fatal(err)
	}
	put := func(verb history.Verb, every int) time.Time {
		var batch history.Batch
		for i := 0; i < benchObjects; i += every {
			r := record(ref("", "pods", fmt.Sprint("ns-", i%20), fmt.Sprintf("pod-%05d", i), 1), verb, "")
			r.Object = fmt.Appendf(nil,
				`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q},"spec":{"replicas":%d},"data":"%03800d"}`,
				r.Ref.Name, every, i*7919)
			batch.Versions = append(batch.Versions, history.NewVersion{Record: r})
			if len(batch.Versions) == 500 || i+every >= benchObjects {
				if err := s.Append(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
				batch.Versions = nil
			}
		}
		return clock
	}
	created = put(history.Create, 1).Add(time.Hour)
	clock = now.Add(-24 * time.Hour)
	changed = put(history.Update, 2).Add(time.Hour)
	clock = now.Add(-time.Hour)
	put(history.Update, 100)
	clock = now
	return s, created, changed, now
}

// BenchmarkState reads the state of 10,000 objects in pages of 1,000: as it is
// now, a day ago and two days ago.
func BenchmarkState(b *testing.B) {
	log, created, changed, now := benchLog(b)
	s := query.New(log, query.Options{Now: func() time.Time { return now }})
	for name, at := range map[string]time.Time{"now": now, "day-ago": changed, "two-days-ago": created} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				q := query.State{At: at, Limit: benchPage}
				for more := true; more; {
					page, err := s.State(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					n += len(page.Versions)
					q.After, more = page.Next, page.More
				}
				if n != benchObjects {
					b.Fatalf("got %d objects, want %d", n, benchObjects)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchObjects, "µs/object")
		})
	}
}

// BenchmarkCompare compares the states of 10,000 objects, of which 100 or half
// differ.
func BenchmarkCompare(b *testing.B) {
	log, created, changed, now := benchLog(b)
	s := query.New(log, query.Options{Now: func() time.Time { return now }})
	for name, from := range map[string]time.Time{"100-differ": changed, "half-differs": created} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			differences := 0
			for b.Loop() {
				differences = 0
				q := query.Compare{From: from, To: now, Limit: benchPage}
				for more := true; more; {
					page, err := s.Compare(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					differences += len(page.Differences)
					q.After, more = page.Next, page.More
				}
			}
			b.ReportMetric(float64(differences), "differences")
		})
	}
}

// BenchmarkCompare_Count counts the 1,000 objects that existed before 100,000
// others were created. x-state is how many times as long it takes as reading
// the state of that time, which leaves the others out.
func BenchmarkCompare_Count(b *testing.B) {
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	clock := now.Add(-24 * time.Hour)
	s, err := store.Open(b.TempDir(), store.Options{NoSync: true, Now: func() time.Time { return clock }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Register(b.Context(), history.Resource{
		Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true,
	}); err != nil {
		b.Fatal(err)
	}
	n := 0
	create := func(count int) {
		var batch history.Batch
		for range count {
			n++
			r := record(ref("", "pods", fmt.Sprint("ns-", n%20), fmt.Sprintf("pod-%06d", n), 1), history.Create, "")
			r.Object = fmt.Appendf(nil, `{"metadata":{"creationTimestamp":%q}}`, clock.Format(time.RFC3339))
			batch.Versions = append(batch.Versions, history.NewVersion{Record: r})
		}
		if err := s.Append(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	create(1000)
	from := clock.Add(time.Hour)
	clock = now.Add(-time.Hour)
	for range 100 {
		create(1000)
		clock = clock.Add(time.Second)
	}
	clock = now
	service := query.New(s, query.Options{Now: func() time.Time { return now }})
	state := func() time.Duration {
		begin := time.Now()
		for _, err := range s.State(b.Context(), history.StateScan{At: from}) {
			if err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(begin)
	}
	state()
	b.ReportAllocs()
	var states time.Duration
	for b.Loop() {
		b.StopTimer()
		states += state()
		b.StartTimer()
		page, err := service.Compare(b.Context(), query.Compare{From: from, To: now, Limit: 1, Count: true})
		if err != nil || page.Existed.Objects != 1000 || page.Existed.Initial != 0 {
			b.Fatalf("got %+v, error %v, want 1,000 objects", page.Existed, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(states), "x-state")
}
