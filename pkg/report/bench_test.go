package report_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/report"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// fleet is a log in which many objects changed, each once and in another way.
type fleet struct {
	start, end time.Time
	requests   atomic.Int64
	latency    time.Duration // of each request
	service    http.Handler
}

// ServeHTTP answers a request.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.requests.Add(1)
	time.Sleep(f.latency)
	f.service.ServeHTTP(w, r)
}

// newFleet records the changes of so many objects, one a second.
func newFleet(tb testing.TB, objects int) *fleet {
	tb.Helper()
	f := &fleet{start: time.Now().UTC().Add(-6 * time.Hour).Truncate(time.Second)}
	clock := f.start
	log, err := store.Open(tb.TempDir(), store.Options{NoSync: true, Now: func() time.Time { return clock }})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = log.Close() })
	if err := log.Register(tb.Context(), history.Resource{
		Version: "v1", Plural: "configmaps", Kind: "ConfigMap", Namespaced: true,
	}); err != nil {
		tb.Fatal(err)
	}
	version := func(i int, verb history.Verb) history.NewVersion {
		name := fmt.Sprintf("settings-%05d", i)
		return history.NewVersion{Record: &history.Record{
			Ref: history.ObjectRef{
				Resource: "configmaps", Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
			},
			Version: "v1", Kind: "ConfigMap", Verb: verb, RV: fmt.Sprint(i),
			Managers: []history.Manager{{Name: "kubectl-edit", Operation: "Update"}},
			Object: fmt.Appendf(nil, `{"kind":"ConfigMap","metadata":{"name":%q},"data":{"key-%d":"%d"}}`,
				name, i, verb),
		}}
	}
	var created history.Batch
	for i := range objects {
		created.Versions = append(created.Versions, version(i, history.Create))
	}
	if err := log.Append(tb.Context(), &created); err != nil {
		tb.Fatal(err)
	}
	for i := range objects {
		clock = clock.Add(time.Second)
		if err := log.Append(tb.Context(), &history.Batch{
			Versions: []history.NewVersion{version(i, history.Update)},
		}); err != nil {
			tb.Fatal(err)
		}
	}
	f.end = clock.Add(time.Second)
	f.service = api.New(query.New(log, query.Options{Now: func() time.Time { return f.end }}), api.Options{})
	return f
}

// question is about all changes, without the creations.
func (f *fleet) question() report.Question {
	return report.Question{Namespace: "shop", Start: f.start.Add(time.Second / 2), End: f.end, Now: f.end}
}

// BenchmarkGather reads a report on 10,000 changes of as many objects, without
// and with the latency of a network. An operation is the whole report; x-rows
// is how many times as long it takes as reading only the rows, which get shows.
func BenchmarkGather(b *testing.B) {
	f := newFleet(b, 10_000)
	source := serve(b, f)
	for name, latency := range map[string]time.Duration{"local": 0, "remote": 5 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			f.latency = latency
			f.requests.Store(0)
			b.ReportAllocs()
			for b.Loop() {
				r, err := report.Gather(b.Context(), source, f.question())
				if err != nil || len(r.Rows) != 10_000 {
					b.Fatalf("got %d rows, error %v, want 10,000", len(r.Rows), err)
				}
			}
			b.ReportMetric(float64(f.requests.Load())/float64(b.N), "requests/op")
			rows := time.Duration(0)
			for range b.N {
				begin := time.Now()
				q := client.EventsQuery{
					Namespace: "shop", Start: f.question().Start, End: f.end, Order: history.NewestFirst, Limit: 500,
				}
				for more := true; more; {
					page, err := source.Folded(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					q.Cursor, more = page.Next, page.HasMore
				}
				rows += time.Since(begin)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(rows), "x-rows")
		})
	}
}
