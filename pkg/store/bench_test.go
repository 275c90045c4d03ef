package store_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// benchVersions is the number of versions in the log of the benchmarks that
// read.
const benchVersions = 50_000

func mustOpen(tb testing.TB, dir string, opts store.Options) *store.Store {
	tb.Helper()
	s, err := store.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// records returns a function that returns the new versions of a sample cluster
// one by one.
func records(tb testing.TB, objects int) func() history.NewVersion {
	tb.Helper()
	batches := sample.Batches(tb, sample.WatchEvents(sample.Options{
		Seed: 1, Objects: objects, Start: time.Unix(1_790_000_000, 0), Every: time.Second / 10,
	}))
	next, stop := iter.Pull(func(yield func(history.NewVersion) bool) {
		for batch := range batches {
			for _, r := range batch.Versions {
				if !yield(r) {
					return
				}
			}
		}
	})
	tb.Cleanup(stop)
	return func() history.NewVersion {
		r, ok := next()
		if !ok {
			tb.Fatal("the sample has no more records")
		}
		return r
	}
}

func take(n int, next func() history.NewVersion) []history.NewVersion {
	list := make([]history.NewVersion, n)
	for i := range list {
		list[i] = next()
	}
	return list
}

// BenchmarkAppend appends a sample cluster's versions in batches. An operation
// is a version.
func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, size := range []int{1, 16, 256, 1024} {
			b.Run(fmt.Sprintf("sync=%v/batch=%d", sync, size), func(b *testing.B) { benchAppend(b, sync, size) })
		}
	}
}

func benchAppend(b *testing.B, sync bool, size int) {
	b.Helper()
	dir := b.TempDir()
	s := mustOpen(b, dir, store.Options{NoSync: !sync})
	next, raw := records(b, 2000), 0
	var batch []history.NewVersion
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if len(batch) == 0 {
			b.StopTimer()
			batch = take(size, next)
			for _, r := range batch {
				raw += len(r.Object)
			}
			b.StartTimer()
		}
		if i%size == size-1 {
			appendVersions(b, s, batch...)
			batch = nil
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "versions/s")
	b.ReportMetric(float64(raw)/float64(b.N), "JSON-bytes/version")
}

// fillLog appends benchVersions versions and returns those of the pod that has
// the most.
func fillLog(b *testing.B, dir string) []*history.Record {
	b.Helper()
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	of := map[history.ObjectRef][]*history.Record{}
	next := records(b, 2000)
	for range benchVersions / 500 {
		batch := take(500, next)
		appendVersions(b, s, batch...)
		for _, r := range batch {
			r.Object = nil
			of[r.Ref] = append(of[r.Ref], r.Record)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var most []*history.Record
	for _, list := range of {
		if len(list) > len(most) && list[0].Ref.Resource == "pods" {
			most = list
		}
	}
	return most
}

// BenchmarkScan reads pages with each index, newest first. An operation is a
// page.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	busiest := fillLog(b, dir)
	s := mustOpen(b, dir, store.Options{NoSync: true})
	ref := busiest[0].Ref
	one := []schema.GroupResource{ref.GroupResource()}
	for _, c := range []struct {
		name   string
		filter history.Filter
	}{
		{"time", history.Filter{}},
		{"resource", history.Filter{Resources: []schema.GroupResource{{Resource: "nodes"}}}},
		{"namespace", history.Filter{Namespace: ref.Scope()}},
		{"namespace+resource", history.Filter{Resources: one, Namespace: ref.Scope()}},
		{"verb", history.Filter{Verbs: []history.Verb{history.Delete}}},
		{"object", history.Filter{Resources: one, Namespace: ref.Scope(), Name: ref.Name}},
		{"uid", history.Filter{UID: ref.UID}},
		{"target", history.Filter{Regarding: &history.Target{Kind: "Pod", Namespace: ref.Namespace, Name: ref.Name}}},
		{"owner", history.Filter{Owner: busiest[0].Owners[0]}},
	} {
		for _, bodies := range []bool{false, true} {
			sc := history.Scan{Filter: c.filter, Order: history.NewestFirst, Limit: 100, Bodies: bodies}
			b.Run(fmt.Sprintf("%s/bodies=%v", c.name, bodies), func(b *testing.B) {
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					n = len(all(b, s, sc))
				}
				b.ReportMetric(float64(n), "records")
			})
		}
	}
}

// BenchmarkAsOf reads an object's state at times all over the log.
func BenchmarkAsOf(b *testing.B) {
	dir := b.TempDir()
	busiest := fillLog(b, dir)
	s := mustOpen(b, dir, store.Options{NoSync: true})
	ref := busiest[0].Ref
	sc := history.Scan{Order: history.NewestFirst, Limit: 1, Bodies: true}
	sc.Resources, sc.Namespace, sc.Name = []schema.GroupResource{ref.GroupResource()}, ref.Scope(), ref.Name
	times := slices.Clone(busiest)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		sc.End = times[i%len(times)].Time.Add(1)
		if got := all(b, s, sc); len(got) != 1 {
			b.Fatalf("got %d records, want 1", len(got))
		}
	}
}

// BenchmarkCount counts all versions by their keys.
func BenchmarkCount(b *testing.B) {
	dir := b.TempDir()
	fillLog(b, dir)
	s := mustOpen(b, dir, store.Options{NoSync: true})
	for b.Loop() {
		if n, exact, err := s.Count(b.Context(), history.Filter{}, benchVersions); n != benchVersions ||
			!exact || err != nil {
			b.Fatalf("got %d, exact %v, %v, want %d, exact", n, exact, err, benchVersions)
		}
	}
	b.ReportMetric(float64(b.N)*benchVersions/b.Elapsed().Seconds(), "keys/s")
}

// BenchmarkOpen opens and closes a log.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	fillLog(b, dir)
	for b.Loop() {
		s, err := store.Open(dir, store.Options{NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
