package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// busyLog is an empty log. Each query waits in it until it is released.
type busyLog struct {
	query.Reader // nil: the other methods are not called

	release chan struct{}

	mu      sync.Mutex
	entered []string // clients, in the order in which their queries began to run
}

// clientKey is the key of the name of a request's client.
type clientKey struct{}

func (l *busyLog) Resources(ctx context.Context) ([]history.Resource, error) {
	name, _ := ctx.Value(clientKey{}).(string)
	l.mu.Lock()
	l.entered = append(l.entered, name)
	l.mu.Unlock()
	<-l.release
	return nil, nil
}

func (l *busyLog) Scan(context.Context, history.Scan) iter.Seq2[*history.Record, error] {
	return func(func(*history.Record, error) bool) {}
}

func (l *busyLog) Count(context.Context, history.Filter, int) (int, bool, error) { return 0, true, nil }

func (l *busyLog) Gaps(context.Context, []schema.GroupResource, time.Time, time.Time) ([]history.Gap, error) {
	return nil, nil
}

// running returns the clients whose queries began to run since the last call.
func (l *busyLog) running() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	entered := l.entered
	l.entered = nil
	return entered
}

// busy is the API of a busyLog, in a synctest bubble.
type busy struct {
	http.Handler

	t        *testing.T
	log      *busyLog
	registry *prometheus.Registry
	answers  sync.WaitGroup
}

func newBusy(t *testing.T, o api.Options) *busy {
	t.Helper()
	b := &busy{t: t, log: &busyLog{release: make(chan struct{})}, registry: prometheus.NewRegistry()}
	o.Registerer = b.registry
	o.Client = func(r *http.Request) string { name, _ := r.Context().Value(clientKey{}).(string); return name }
	b.Handler = api.New(query.New(b.log, query.Options{}), o)
	return b
}

// send sends a request in the name of a client, and returns where its answer
// will be.
func (b *busy) send(ctx context.Context, client, target string) *httptest.ResponseRecorder {
	b.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(context.WithValue(ctx, clientKey{}, client),
		http.MethodGet, target, http.NoBody)
	b.answers.Go(func() { b.ServeHTTP(w, r) })
	synctest.Wait()
	return w
}

// checkRefusal checks an answer with status 429 or 503.
func (b *busy) checkRefusal(what string, w *httptest.ResponseRecorder, status int, code, reason string) {
	b.t.Helper()
	synctest.Wait()
	var body v1.ErrorBody
	err := json.Unmarshal(w.Body.Bytes(), &body)
	if w.Code != status || err != nil || body.Error.Code != code || w.Header().Get("Retry-After") == "" ||
		w.Header().Get("Content-Type") != v1.ContentType {
		b.t.Errorf("%s: got %d %q %v, want %d, code %s, and Retry-After",
			what, w.Code, w.Body, w.Header(), status, code)
	}
	if n := refusals(b.t, b.registry, reason); n != 1 {
		b.t.Errorf("%s: got %.0f refusals with reason %s, want 1", what, n, reason)
	}
}

// refusals returns how many queries were refused for a reason.
func refusals(t *testing.T, registry *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "watchhistory_queries_refused_total" && m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("reason %s: got no metric, want one", reason)
	return 0
}

// A client that sends 64 queries takes turns with the others. It can hold all
// slots of large queries, but not of small ones.
func TestQueries_ClientsTakeTurns(t *testing.T) {
	for target, slots := range map[string]int{"/api/v1/events": 2, "/api/v1/events?limit=100": 5} {
		synctest.Test(t, func(t *testing.T) {
			b := newBusy(t, api.Options{Concurrency: 8})
			for range 64 {
				b.send(t.Context(), "greedy", target)
			}
			if got := b.log.running(); !slices.Equal(got, slices.Repeat([]string{"greedy"}, slots)) {
				t.Errorf("%s: running: got %v, want %d queries of the greedy client", target, got, slots)
			}
			b.send(t.Context(), "modest", target)
			if slots == 2 {
				b.log.release <- struct{}{}
			}
			if got := b.log.running(); !slices.Equal(got, []string{"modest"}) {
				t.Errorf("%s: running next: got %v, want the query of the modest client", target, got)
			}
			b.send(t.Context(), "other", target)
			b.send(t.Context(), "modest", target)
			var order []string
			for range 6 {
				b.log.release <- struct{}{}
				order = append(order, b.log.running()...)
			}
			if i, j := slices.Index(order, "other"), slices.Index(order, "modest"); i < 0 || i > 2 || j < 0 || j > 3 {
				t.Errorf("%s: order: got %v, want the other clients among the first", target, order)
			}
			close(b.log.release)
			b.answers.Wait()
		})
	}
}

func TestQueries_SmallOnesHaveOwnLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Concurrency: 2})
		for _, target := range []string{
			"", "?limit=101", "?limit=nonsense", "?limit=0", "?limit=1001&summary=true", "?summary=1",
			"?limit=1&labelSelector=app", "?limit=1&fieldSelector=type%3Da", "?limit=1&reason=a", "?limit=1&type=a",
			"?limit=1&q=true",
		} {
			b.send(t.Context(), "greedy", v1.EventsPath+target)
		}
		if got := b.log.running(); len(got) != 1 {
			t.Errorf("large queries: got %d running, want 1", len(got))
		}
		for _, target := range []string{"?limit=100", "?limit=1000&summary=true", "/shop/pods/web"} {
			b.send(t.Context(), "greedy", v1.EventsPath+target)
			if got := b.log.running(); len(got) != 1 {
				t.Errorf("%s: got %d running, want it next to the large query", target, len(got))
			}
			b.log.release <- struct{}{}
			b.log.release <- struct{}{} // a large one may have been released
			b.log.running()
		}
		close(b.log.release)
		b.answers.Wait()
	})
}

func TestQueries_RefusedAtOnceIfTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Concurrency: 2, Backlog: 2})
		for _, client := range []string{"a", "a", "a"} { // one runs, two wait
			b.send(t.Context(), client, v1.EventsPath)
		}
		b.checkRefusal("backlog", b.send(t.Context(), "a", v1.EventsPath), http.StatusTooManyRequests,
			"too_many_requests", "client_queue")
		for i := range 6 {
			b.send(t.Context(), fmt.Sprint("client-", i), v1.EventsPath)
		}
		b.checkRefusal("capacity", b.send(t.Context(), "b", v1.EventsPath),
			http.StatusServiceUnavailable, "unavailable", "queue")
		if got := gauge(t, b.registry, "watchhistory_queries_waiting"); got != 8 {
			t.Errorf("waiting: got %.0f, want 8", got)
		}
		if got := gauge(t, b.registry, "watchhistory_queries_in_flight"); got != 9 {
			t.Errorf("in flight: got %.0f, want 9", got)
		}
		close(b.log.release)
		b.answers.Wait()
	})
}

func TestQueries_RefusedAfterPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Concurrency: 2, Patience: 3 * time.Second})
		b.send(t.Context(), "a", v1.EventsPath)
		w := b.send(t.Context(), "b", v1.EventsPath)
		time.Sleep(3*time.Second - time.Nanosecond)
		synctest.Wait()
		if got := gauge(t, b.registry, "watchhistory_queries_waiting"); got != 1 {
			t.Errorf("before: got %.0f queries that wait, want 1", got)
		}
		time.Sleep(time.Nanosecond)
		b.checkRefusal("patience", w, http.StatusServiceUnavailable, "unavailable", "wait")
		close(b.log.release)
		b.answers.Wait()
	})
}

// Queries that took seconds are expected to take as long again.
func TestQueries_RefusedAtOnceIfWaitIsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Concurrency: 2, Patience: 10 * time.Second})
		b.send(t.Context(), "a", v1.EventsPath)
		time.Sleep(4 * time.Second)
		b.log.release <- struct{}{}
		b.answers.Wait()
		b.send(t.Context(), "a", v1.EventsPath) // runs
		b.send(t.Context(), "a", v1.EventsPath)
		b.send(t.Context(), "a", v1.EventsPath)
		w := b.send(t.Context(), "a", v1.EventsPath) // would wait for three queries
		b.checkRefusal("long wait", w, http.StatusServiceUnavailable, "unavailable", "wait")
		if got := w.Header().Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After: got %q, want 2", got)
		}
		b.send(t.Context(), "b", v1.EventsPath) // takes its turn after one query
		if got := gauge(t, b.registry, "watchhistory_queries_waiting"); got != 3 {
			t.Errorf("with another client: got %.0f queries that wait, want 3", got)
		}
		close(b.log.release)
		b.answers.Wait()
	})
}

// A client that disconnects while it waits takes no turn, and is not counted.
func TestQueries_DisconnectedClientLeavesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Concurrency: 2})
		b.send(t.Context(), "a", v1.EventsPath)
		ctx, cancel := context.WithCancel(t.Context())
		b.send(ctx, "b", v1.EventsPath)
		cancel()
		synctest.Wait()
		if got := gauge(t, b.registry, "watchhistory_queries_waiting"); got != 0 {
			t.Errorf("waiting: got %.0f, want 0", got)
		}
		close(b.log.release)
		b.answers.Wait()
		if got, n := b.log.running(), refusals(t, b.registry, "wait"); !slices.Equal(got, []string{"a"}) || n != 0 {
			t.Errorf("got queries of %v and %.0f refusals, want only a's and none", got, n)
		}
	})
}

func TestQueries_RateIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBusy(t, api.Options{Rate: 0.5}) // five in ten seconds
		close(b.log.release)
		for range 5 {
			if w := b.send(t.Context(), "a", v1.ResourcesPath); w.Code != http.StatusOK {
				t.Errorf("got %d, want 200", w.Code)
			}
		}
		w := b.send(t.Context(), "a", v1.ResourcesPath)
		b.checkRefusal("rate", w, http.StatusTooManyRequests, "too_many_requests", "rate")
		if got := w.Header().Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After: got %q, want 2", got)
		}
		for _, c := range []struct{ client, target string }{
			{"b", v1.ResourcesPath}, {"a", v1.HealthPath}, {"a", v1.ReadyzPath},
		} {
			if w := b.send(t.Context(), c.client, c.target); w.Code != http.StatusOK {
				t.Errorf("%s of %s: got %d, want 200", c.target, c.client, w.Code)
			}
		}
		time.Sleep(2 * time.Second)
		if w := b.send(t.Context(), "a", v1.ResourcesPath); w.Code != http.StatusOK {
			t.Errorf("after Retry-After: got %d, want 200", w.Code)
		}
		b.answers.Wait()
	})
}

// Answers that are not read use up the memory of their client, and then that of
// all.
func TestQueries_RefusedIfAnswersAreNotRead(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := newServer(t, api.Options{
		AnswerBytes: 3 << 20, Registerer: registry, Client: func(r *http.Request) string {
			return r.Header.Get("From")
		},
	})
	large(s)
	address := listen(t, s, api.ServerOptions{WriteIdle: time.Hour})
	fill := func(client string, want int) {
		t.Helper()
		eventually(t, fmt.Sprint(client, " gets ", want), func() bool {
			response := begin(t, address, v1.EventsPath, "From: "+client, "Accept-Encoding: gzip")
			if response.StatusCode != http.StatusOK && response.StatusCode != want {
				t.Fatalf("%s: got %s, want 200 or %d", client, response.Status, want)
			}
			return response.StatusCode == want && response.Header.Get("Retry-After") != ""
		})
	}
	fill("a", http.StatusTooManyRequests)
	if n := refusals(t, registry, "client_memory"); n != 1 {
		t.Errorf("refusals of a: got %.0f, want 1", n)
	}
	fill("b", http.StatusServiceUnavailable)
	if n := refusals(t, registry, "memory"); n != 1 {
		t.Errorf("refusals of all: got %.0f, want 1", n)
	}
	if response := begin(t, address, v1.EventsPath+"?limit=1", "From: a"); response.StatusCode != http.StatusOK {
		t.Errorf("small query: got %s, want 200", response.Status)
	}
}

// watchedLog counts the records that are scanned, and calls a function before
// the fifth one.
type watchedLog struct {
	*store.Store

	scanned *int
	fifth   func()
}

func (l watchedLog) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for r, err := range l.Store.Scan(ctx, scan) {
			if err == nil {
				if *l.scanned++; *l.scanned == 5 {
					l.fifth()
				}
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestQueries_CancelledRequestStopsScanning(t *testing.T) {
	const records = 300
	s := newServer(t, api.Options{})
	for i := range records {
		s.put(change(history.Create, "pods", "shop", fmt.Sprint("web-", i), `{}`))
	}
	for _, target := range []string{
		"/api/v1/events", "/api/v1/events?summary=true", "/api/v1/events?limit=10&resourceName=web-299&manager=none",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		scanned := 0
		log := watchedLog{s.log, &scanned, cancel}
		handler := api.New(query.New(log, query.Options{}), api.Options{})
		handler.ServeHTTP(httptest.NewRecorder(),
			httptest.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody))
		cancel()
		if scanned > 100 { // what was prefetched may still be passed on
			t.Errorf("%s: got %d of %d records scanned, want the scan to stop", target, scanned, records)
		}
	}
}

// Connections beyond the limit get an answer, and probes get theirs.
func TestServer_BoundsConnections(t *testing.T) {
	s := newServer(t, api.Options{})
	address := listen(t, s, api.ServerOptions{Connections: 2})
	for range 2 {
		if response := begin(t, address, v1.ResourcesPath); response.StatusCode != http.StatusOK {
			t.Errorf("connection within the limit: got %s, want 200", response.Status)
		}
	}
	response := begin(t, address, v1.ResourcesPath)
	body, err := io.ReadAll(response.body)
	if response.StatusCode != http.StatusServiceUnavailable || err != nil ||
		!strings.Contains(string(body), `"code":"unavailable"`) ||
		response.Header.Get("Retry-After") == "" || !response.Close {
		t.Errorf("connection beyond the limit: got %s %v %q, error %v, want 503 and the end of the connection",
			response.Status, response.Header, body, err)
	}
	for _, probe := range []string{v1.LivezPath, v1.ReadyzPath, "/" + v1.HealthPath} {
		if response := begin(t, address, probe); response.StatusCode != http.StatusOK || !response.Close {
			t.Errorf("%s: got %s, want 200 and the end of the connection", probe, response.Status)
		}
	}
}

func TestServer_BoundsBodies(t *testing.T) {
	s := newServer(t, api.Options{})
	address := listen(t, s, api.ServerOptions{BodyBytes: 10})
	for length, want := range map[int]int{
		10: http.StatusOK, 11: http.StatusRequestEntityTooLarge, 1 << 40: http.StatusRequestEntityTooLarge,
	} {
		response := begin(t, address, v1.ResourcesPath, fmt.Sprint("Content-Length: ", length))
		if response.StatusCode != want {
			t.Errorf("body of %d bytes: got %s, want %d", length, response.Status, want)
		}
	}
}
