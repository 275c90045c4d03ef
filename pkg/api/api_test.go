package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestProbes_Answer(t *testing.T) {
	missing := []string{"pods: disconnected: connection\nrefused\x1b[31m", "nodes: what exists is being listed"}
	s := newServer(t, api.Options{
		Missing: func() []string { return missing },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
	})
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/health", http.StatusOK, `{"status":"healthy"}`},
		{"//health", http.StatusOK, `{"status":"healthy"}`},
		{"/livez", http.StatusOK, "ok\n"},
		{
			"/readyz", http.StatusOK,
			"ok\nnot in sync:\npods: disconnected: connection refused^[[31m\nnodes: what exists is being listed\n",
		},
		{"/metrics", http.StatusOK, "up 1\n"},
		{"/", http.StatusNotFound, ""},
		{"/api/v1", http.StatusNotFound, ""},
		{"/api/v1/eventsandmore", http.StatusNotFound, ""},
	} {
		code, header, body := s.get(c.path)
		if code != c.code || c.body != "" && body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.path, code, body, c.code, c.body)
		}
		if c.path == "/health" && header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: content type: got %q, want application/json", c.path, header.Get("Content-Type"))
		}
	}
	missing = nil
	if code, _, body := s.get("/readyz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz: got %d %q, want 200 ok", code, body)
	}
}

func TestResources_HaveStates(t *testing.T) {
	pods := v1.Resource{Version: "v1", Plural: "pods", Kind: "Pod", State: "watching"}
	gadgets := v1.Resource{
		Group: "example.com", Version: "v1", Plural: "gadgets", State: "waiting", Reason: "not served",
	}
	s := newServer(t, api.Options{States: func() []v1.Resource { return []v1.Resource{pods, gadgets} }})
	_, _, body := s.get("/api/v1/resources")
	var list v1.ResourceList
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, r := range list.Resources {
		states[r.Plural] += r.State + r.Reason
	}
	if len(list.Resources) != 9 || states["pods"] != "watching" || states["gadgets"] != "waitingnot served" ||
		states["nodes"] != "stopped" {
		t.Errorf("got %d resources with states %v, want 9: pods watching, gadgets waiting, nodes stopped",
			len(list.Resources), states)
	}
}

func TestHandler_AllowsOnlyGetAndHead(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	for _, method := range []string{
		http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions,
	} {
		code, header, _ := s.do(method, "/api/v1/events")
		if code != http.StatusMethodNotAllowed || header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, Allow %q, want 405, GET, HEAD", method, code, header.Get("Allow"))
		}
	}
	if code, header, _ := s.do(http.MethodHead, "/api/v1/events"); code != http.StatusOK ||
		header.Get("X-Total-Count") != "4" {
		t.Errorf("HEAD: got %d %v, want 200 with a count of 4", code, header)
	}
}

func TestHandler_PanicIsAnsweredAndLogged(t *testing.T) {
	var lines bytes.Buffer
	s := newServer(t, api.Options{
		Logger:  slog.New(slog.NewJSONHandler(&lines, nil)),
		Missing: func() []string { panic("the sky fell") },
	})
	code, _, body := s.get("/readyz")
	if code != http.StatusInternalServerError || strings.Contains(body, "sky") {
		t.Errorf("got %d %q, want 500 without the panic's text", code, body)
	}
	if !strings.Contains(lines.String(), "the sky fell") {
		t.Errorf("log: got %q, want the panic's text", lines.String())
	}
}

func TestEvents_FailureHasFixedText(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	if err := s.log.Close(); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/api/v1/events":                 "Query failed: ",
		"/api/v1/events?resourceType=po": "Query failed: ",
		"/api/v1/events/shop/pods/web":   "Failed to query object history: ",
	} {
		code, header, body := s.get(target)
		if code != http.StatusInternalServerError || !strings.HasPrefix(body, want) ||
			!strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: got %d %q, want 500 %q", target, code, body, want)
		}
	}
	if code, header, _ := s.get("/api/v1/resources"); code != http.StatusServiceUnavailable ||
		header.Get("Content-Type") != "application/json" {
		t.Errorf("resources: got %d %v, want 503 with JSON", code, header)
	}
}

// brokenIndex is a log whose index of Events is broken, and nothing else.
type brokenIndex struct{ *store.Store }

func (l brokenIndex) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	if scan.Regarding != nil {
		return func(yield func(*history.Record, error) bool) { yield(nil, errors.New("index broken")) }
	}
	return l.Store.Scan(ctx, scan)
}

func TestObject_FailureOfRelatedEventsHasOwnText(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	s.Handler = api.New(query.New(brokenIndex{s.log}, query.Options{}), api.Options{})
	code, _, body := s.get("/api/v1/events/shop/pods/web")
	if code != http.StatusInternalServerError || body != "Failed to query related events: index broken\n" {
		t.Errorf("got %d %q, want 500 with the text for related events", code, body)
	}
}

func TestEvents_TimeoutEndsQuery(t *testing.T) {
	s := newServer(t, api.Options{Timeout: time.Nanosecond})
	sample(s)
	code, _, body := s.get("/api/v1/events")
	if code != http.StatusInternalServerError || !strings.HasPrefix(body, v1.QueryFailedText) ||
		!strings.HasSuffix(body, "context deadline exceeded\n") {
		t.Errorf("got %d %q, want 500 with the fixed text and the deadline", code, body)
	}
}

func TestEvents_DisconnectedClientIsNoError(t *testing.T) {
	var lines bytes.Buffer
	s := newServer(t, api.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	sample(s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/events", http.NoBody))
	if w.Code != http.StatusInternalServerError || strings.Contains(lines.String(), "ERROR") {
		t.Errorf("got %d, log %q, want 500 and no error", w.Code, lines.String())
	}
}

// While one query runs, another one waits, and is refused in the end.
func TestEvents_ConcurrencyIsBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := newServer(t, api.Options{
		Concurrency: 2, Timeout: 20 * time.Millisecond,
		States: func() []v1.Resource { close(entered); <-release; return nil },
	})
	sample(s)
	var slow sync.WaitGroup
	slow.Go(func() { s.get("/api/v1/resources") })
	<-entered
	if code, header, body := s.get("/api/v1/events?limit=10"); code != http.StatusServiceUnavailable ||
		header.Get("Retry-After") == "" {
		t.Errorf("second query: got %d %v %q, want 503 with Retry-After", code, header, body)
	}
	if code, _, _ := s.get("/health"); code != http.StatusOK {
		t.Errorf("health during a query: got %d, want 200", code)
	}
	close(release)
	slow.Wait()
	if got := len(s.retryList()); got != 4 {
		t.Errorf("events after the query: got %d, want 4", got)
	}
}

// retryList lists until there is an answer. The machine may be slower than the
// timeout.
func (s *server) retryList() []string {
	for range 100 {
		if code, _, _ := s.get("/api/v1/events?limit=10"); code == http.StatusOK {
			return list(s.tb, s, "limit=10")
		}
	}
	return nil
}

func TestHandler_CompressesLargeAnswers(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(change(history.Create, "configmaps", "shop", "large", `{"data":{"a":"`+strings.Repeat("x", 100_000)+`"}}`))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", http.NoBody)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Header().Get("Content-Encoding") != "gzip" || w.Body.Len() > 10_000 {
		t.Fatalf("got %v, %d bytes, want gzip and at most 10000 bytes", w.Header(), w.Body.Len())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if _, _, plain := s.get("/api/v1/events"); err != nil || string(body) != plain {
		t.Errorf("decompressed answer: got %d bytes, error %v, want the %d bytes of the plain one",
			len(body), err, len(plain))
	}
}

// A record with a damaged object is returned without it, and does not hide the
// rest of the page.
func TestEvents_DamagedObjectIsOmittedAndLogged(t *testing.T) {
	var lines bytes.Buffer
	s := newServer(t, api.Options{Logger: slog.New(slog.NewTextHandler(&lines, nil))})
	sample(s)
	s.put(change(history.Update, "pods", "shop", "web", `{"metadata":{`),
		change(history.Update, "pods", "shop", "web", ``))
	if got := list(t, s, ""); len(got) != 6 {
		t.Errorf("got %v, want 6 events", got)
	}
	if got := strings.Count(lines.String(), "record has no valid object"); got != 2 {
		t.Errorf("log lines: got %d in %q, want 2", got, lines.String())
	}
}
