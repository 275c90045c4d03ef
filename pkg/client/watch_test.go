package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// cutting passes requests on, and cuts off each stream after some bytes: within
// a line or between two.
func cutting(next http.Handler, cuts *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&cutWriter{w, 200 + rand.IntN(4000), cuts}, r)
	})
}

type cutWriter struct {
	http.ResponseWriter

	left int
	cuts *atomic.Int64
}

func (c *cutWriter) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.ResponseWriter.Write(b)
	}
	_, _ = c.ResponseWriter.Write(b[:c.left])
	_ = http.NewResponseController(c.ResponseWriter).Flush()
	c.cuts.Add(1)
	panic(http.ErrAbortHandler)
}

func (c *cutWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// The connection is cut all the time, while records are appended. Each of them
// is delivered once, in order.
func TestWatch_LostConnectionsLoseNothing(t *testing.T) {
	const n = 40
	api := recordertest.NewAPI(t, nil)
	var cuts atomic.Int64
	s := httptest.NewServer(cutting(api, &cuts))
	t.Cleanup(s.Close)
	c := newClient(t, s.URL, client.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begin := make(chan struct{})
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		<-begin
		for i := range n {
			batch := &history.Batch{Versions: []history.NewVersion{{Record: &history.Record{
				Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: fmt.Sprint("pod-", i), UID: "u"},
				Version: "v1", Kind: "Pod", Verb: history.Update, RV: fmt.Sprint(i),
			}}}}
			if err := api.Record(t.Context(), nil, batch); err != nil {
				t.Errorf("record: got error %v, want none", err)
			}
		}
	})
	var got, want []string
	for i := range n {
		want = append(want, fmt.Sprint("pod-", i))
	}
	var types []client.UpdateType
	for u, err := range c.Watch(ctx, client.EventsQuery{Summary: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if len(types) == 0 {
			close(begin)
		}
		types = append(types, u.Type)
		if u.Type == client.Recorded {
			got = append(got, u.Event.ResourceName)
		}
		if len(got) == n {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if cuts.Load() == 0 {
		t.Error("got no stream that was cut off, want some")
	}
	for i, kind := range types {
		connected := i == 0 || types[i-1] == client.Disconnected
		if connected != (kind == client.Connected) && kind != client.Disconnected {
			t.Errorf("update %d: got %q after %q", i, kind, types[max(i-1, 0)])
		}
	}
}

// streams is a server that answers each request with the next text. A text that
// does not end in a line feed is cut off.
type streams struct {
	mu      sync.Mutex
	answers []string
	cursors []string // of the requests
}

func (s *streams) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.cursors = append(s.cursors, r.URL.Query().Get("cursor"))
	n := len(s.cursors) - 1
	s.mu.Unlock()
	if n >= len(s.answers) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	if code, message, found := strings.Cut(s.answers[n], "!"); found {
		w.Header().Set("Content-Type", v1.ContentType)
		status := map[string]int{"unauthorized": 401, "unavailable": 503, "gone": 410, "internal": 500}[code]
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":{"code":%q,"message":%q}}`, code, message)
	} else {
		w.Header().Set("Content-Type", v1.StreamContentType)
		_, _ = w.WriteString(s.answers[n])
	}
	return w.Result(), nil
}

// run watches until the error that ends the watch, or until the server has no
// more answers. It returns the updates as text.
func (s *streams) run(t *testing.T) (updates []string, last error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := newClient(t, "http://recorder", client.Options{Transport: s, Timeout: -1})
		for u, err := range c.Watch(ctx, client.EventsQuery{}) {
			switch {
			case err != nil:
				last = err
			case u.Type == client.Recorded:
				updates = append(updates, u.Event.ResourceName)
			case u.Type == client.GapChanged, u.Type == client.GapDismissed:
				state := "open"
				if !u.Gap.End.IsZero() {
					state = "closed"
				}
				updates = append(updates, string(u.Type)+" "+u.Gap.Resource+" "+state)
			case u.Type == client.Disconnected:
				updates = append(updates, "disconnected")
			default:
				updates = append(updates, string(u.Type))
			}
			s.mu.Lock()
			done := len(s.cursors) >= len(s.answers) && u.Type == client.Disconnected
			s.mu.Unlock()
			if done {
				return
			}
		}
	})
	return updates, last
}

func start(cursor, gaps string) string {
	return `{"type":"START","cursor":"` + cursor + `","gaps":[` + gaps + "]}\n"
}

func recorded(cursor, name string) string {
	return `{"type":"EVENT","cursor":"` + cursor + `","event":{"resourceName":"` + name + `"}}` + "\n"
}

func failed(code string) string {
	return `{"type":"ERROR","cursor":"a","error":{"code":"` + code + `","message":"oops"}}` + "\n"
}

const (
	openGap   = `{"group":"","resource":"pods","start":"2026-01-01T00:00:00Z","reason":"disconnected"}`
	closedGap = `{"group":"","resource":"pods","start":"2026-01-01T00:00:00Z","end":"2026-01-01T00:01:00Z",` +
		`"reason":"disconnected"}`
)

func TestWatch_ContinuesAtLastCompleteLine(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answers  []string
		updates  []string
		cursors  []string
		lastCode history.Code
	}{
		{
			"cut within a line",
			[]string{
				start("a", "") + recorded("b", "one") + strings.TrimSuffix(recorded("c", "two"), "\n"), start("b", ""),
			},
			[]string{"connected", "one", "disconnected", "connected", "disconnected"},
			[]string{"", "b"},
			"",
		},
		{
			"cut after the start",
			[]string{start("a", ""), start("a", "") + recorded("b", "one")},
			[]string{"connected", "disconnected", "connected", "one", "disconnected"},
			[]string{"", "a"},
			"",
		},
		{
			"recorder stops, and is away for a while",
			[]string{
				start("a", "") + `{"type":"HEARTBEAT","cursor":"b"}` + "\n" + `{"type":"END","cursor":"b"}` + "\n",
				"unavailable!too many streams", "internal!oops", start("b", ""),
			},
			[]string{
				"connected", "heartbeat", "disconnected", "disconnected", "disconnected", "connected", "disconnected",
			},
			[]string{"", "b", "b", "b"},
			"",
		},
		{
			"unknown lines",
			[]string{start("a", "") + `{"type":"NEWS","cursor":"b"}` + "\n", start("b", "")},
			[]string{"connected", "disconnected", "connected", "disconnected"},
			[]string{"", "b"},
			"",
		},
		{
			"gap opened and closed meanwhile",
			[]string{
				start("a", openGap), start("a", openGap), start("a", closedGap), start("a", closedGap), start("a", ""),
				start("a", openGap) + `{"type":"GAP","cursor":"a","gap":` + openGap + "}\n" +
					`{"type":"NO_GAP","cursor":"a","gap":` + openGap + "}\n",
				start("a", openGap), start("a", ""),
			},
			[]string{
				"connected", "gap changed pods open", "disconnected",
				"connected", "disconnected",
				"connected", "gap changed pods closed", "disconnected",
				"connected", "disconnected",
				"connected", "disconnected",
				"connected", "gap changed pods open", "gap dismissed pods open", "disconnected",
				"connected", "gap changed pods open", "disconnected",
				"connected", "gap dismissed pods open", "disconnected",
			},
			[]string{"", "a", "a", "a", "a", "a", "a", "a"},
			"",
		},
		{
			"records are gone",
			[]string{start("a", ""), "gone!records were dropped"},
			[]string{"connected", "disconnected"},
			[]string{"", "a"},
			history.Gone,
		},
		{
			"records are gone during the stream",
			[]string{start("a", "") + failed("gone")},
			[]string{"connected"},
			[]string{""},
			history.Gone,
		},
		{
			"new credentials",
			[]string{
				start("a", "") + failed("unauthorized"), "unauthorized!expired", start("a", ""),
			},
			[]string{"connected", "disconnected", "disconnected", "connected", "disconnected"},
			[]string{"", "a", "a"},
			"",
		},
		{
			"no valid credentials",
			[]string{start("a", ""), "unauthorized!expired", "unauthorized!expired", "unauthorized!expired"},
			[]string{"connected", "disconnected", "disconnected", "disconnected"},
			[]string{"", "a", "a", "a"},
			history.Unauthorized,
		},
		{"first connection", []string{"unavailable!later"}, nil, []string{""}, history.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &streams{answers: tt.answers}
			updates, err := s.run(t)
			if !slices.Equal(updates, tt.updates) {
				t.Errorf("updates: got %q, want %q", updates, tt.updates)
			}
			if !slices.Equal(s.cursors, tt.cursors) {
				t.Errorf("cursors of the requests: got %q, want %q", s.cursors, tt.cursors)
			}
			if got := history.CodeOf(err); got != tt.lastCode {
				t.Errorf("last error: got %v, want one with the code %q", err, tt.lastCode)
			}
		})
	}
}

// silent is a transport whose streams never have a second line.
type silent struct{ opened atomic.Int64 }

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	s.opened.Add(1)
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", v1.StreamContentType)
	resp := w.Result()
	resp.Body = &silentBody{r.Context().Done(), strings.NewReader(start("a", ""))}
	return resp, nil
}

type silentBody struct {
	ended <-chan struct{}
	first *strings.Reader
}

func (b *silentBody) Read(p []byte) (int, error) {
	if n, _ := b.first.Read(p); n > 0 {
		return n, nil
	}
	<-b.ended
	return 0, context.Canceled
}

func (*silentBody) Close() error { return nil }

// A limit of time for requests does not apply to a stream, but silence ends it.
func TestWatch_SilentStreamIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &silent{}
		c := newClient(t, "http://recorder", client.Options{Transport: s, Timeout: time.Second})
		began := time.Now()
		for u, err := range c.Watch(t.Context(), client.EventsQuery{}) {
			if err != nil {
				t.Fatal(err)
			}
			if u.Type == client.Disconnected {
				if !errors.Is(u.Err, client.ErrStalled) || time.Since(began) < 3*v1.HeartbeatSeconds*time.Second {
					t.Errorf("got error %v after %s, want that the stream stalled", u.Err, time.Since(began))
				}
				break
			}
		}
	})
}

func TestWatch_BoundsLines(t *testing.T) {
	s := newStub(t, 200, v1.StreamContentType, start("a", "")+recorded("b", strings.Repeat("x", 100_000)))
	c := newClient(t, s.URL, client.Options{MaxResponse: 10_000})
	var last error
	for _, err := range c.Watch(t.Context(), client.EventsQuery{}) {
		last = err
	}
	if wantError(t, last, history.Invalid); !errors.Is(last, client.ErrTooLarge) {
		t.Errorf("got error %v, want that the answer is too large", last)
	}
}

func TestWatch_EndsWithContext(t *testing.T) {
	c := newRecorderClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for u, err := range c.Watch(ctx, client.EventsQuery{}) {
		if last = err; u.Type == client.Connected {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("got error %v, want that of the context", last)
	}
	cancel()
}

func TestWatch_RejectsPages(t *testing.T) {
	c := newRecorderClient(t)
	for _, q := range []client.EventsQuery{
		{Limit: 1}, {Order: history.NewestFirst}, {End: time.Now()},
	} {
		for _, err := range c.Watch(t.Context(), q) {
			wantError(t, err, history.Invalid, "watch: a stream has no end, no order and no limit")
		}
	}
	for _, err := range c.Watch(t.Context(), client.EventsQuery{Cursor: "x"}) {
		wantError(t, err, history.Invalid, "parameter cursor")
	}
}

// Old recorders ignore the parameter, and answer with a page or with a 404.
func TestWatch_OldRecorderIsError(t *testing.T) {
	for name, s := range map[string]*stub{
		"page":       newStub(t, 200, "application/json", fixedAnswer),
		"no records": newStub(t, 404, "text/plain; charset=utf-8", v1.NoMatchText+"\n"),
	} {
		for _, err := range newClient(t, s.URL, client.Options{}).Watch(t.Context(), client.EventsQuery{}) {
			if !errors.Is(err, client.ErrNoStreams) {
				t.Errorf("%s: got error %v, want that there are no streams", name, err)
			}
			wantError(t, err, history.Invalid, "older than this client")
		}
	}
}
