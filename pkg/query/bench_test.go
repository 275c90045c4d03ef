package query_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/selector"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// benchVersions is the number of versions that BenchmarkSelect searches.
const benchVersions = 100_000

// sampleLog returns a log with the first versions of a sample cluster.
func sampleLog(b *testing.B, versions int) *store.Store {
	b.Helper()
	s, err := store.Open(b.TempDir(), store.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	events := sample.WatchEvents(sample.Options{
		Seed: 1, Objects: 5000, Start: time.Unix(1_790_000_000, 0), Every: time.Second / 10,
	})
	registered, n := map[string]bool{}, 0
	for batch := range sample.Batches(b, events) {
		for _, v := range batch.Versions {
			if of := v.Ref.GroupResource(); !registered[of.String()] {
				registered[of.String()] = true
				r := history.Resource{
					Group: of.Group, Version: v.Version, Plural: of.Resource,
					Kind: v.Kind, Namespaced: v.Ref.Namespace != "",
				}
				if err := s.Register(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := s.Append(b.Context(), &history.Batch{Versions: batch.Versions}); err != nil {
			b.Fatal(err)
		}
		if n += len(batch.Versions); n >= versions {
			break
		}
	}
	return s
}

// BenchmarkSelect searches all versions for matches of which there are few. An
// operation is the whole search; ns/version is the time for each of them.
func BenchmarkSelect(b *testing.B) {
	s := query.New(sampleLog(b, benchVersions), query.Options{Effort: 100 * benchVersions})
	labels, err := selector.ParseLabels("app=none")
	if err != nil {
		b.Fatal(err)
	}
	fields, err := selector.ParseFields("status.phase=Failed")
	if err != nil {
		b.Fatal(err)
	}
	q := func(text string) *selector.Selector {
		e, err := selector.Compile(text)
		if err != nil {
			b.Fatal(err)
		}
		return &selector.Selector{Expression: e}
	}
	for _, c := range []struct {
		name string
		of   *selector.Selector
	}{
		{"labels", &selector.Selector{Labels: labels}},
		{"fields", &selector.Selector{Fields: fields}},
		{"q=managers", q(`"missing" in managers`)},
		{"q=object", q(`object.spec.replicas > 100`)},
		{
			"q=changed",
			q(`changed.exists(p, p.startsWith("spec.template")) && !("kube-controller-manager" in managers)`),
		},
	} {
		for name, order := range map[string]history.Order{
			"oldest": history.OldestFirst, "newest": history.NewestFirst,
		} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					page, err := s.Timeline(b.Context(),
						query.Timeline{Selector: c.of, Order: order, Limit: 1_000_000, Bare: true})
					if err != nil || page.More {
						b.Fatalf("got more %t, error %v, want one page", page.More, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchVersions), "ns/version")
			})
		}
	}
}

// BenchmarkFollow commits a record, and reads the batch of a stream that has
// caught up. The record matches no filter.
func BenchmarkFollow(b *testing.B) {
	log := sampleLog(b, benchVersions/10)
	s := query.New(log, query.Options{Feed: log})
	expression, err := selector.Compile(`verb == "delete"`)
	if err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]query.Timeline{
		"type":       {Types: []string{"nodes"}},
		"expression": {Selector: &selector.Selector{Expression: expression}},
	} {
		b.Run(name, func(b *testing.B) {
			q.Limit, q.Each = 500, func(*query.Version) error { return nil }
			q.After, _ = log.Committed()
			for b.Loop() {
				b.StopTimer()
				err := log.Append(b.Context(), &history.Batch{Versions: []history.NewVersion{{Record: &history.Record{
					Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web", UID: "u"},
					Version: "v1", Kind: "Pod", Verb: history.Update, RV: "1", Object: []byte(`{}`),
				}}}})
				b.StartTimer()
				if err != nil {
					b.Fatal(err)
				}
				batch, err := s.Follow(b.Context(), q, time.Hour, nil)
				if err != nil {
					b.Fatal(err)
				}
				q.After = batch.Next
			}
			b.ReportAllocs()
		})
	}
}
