package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// The servers in this file give answers that a real API server can't be made to
// give. Their network is a pipe, so that waiting takes no time in a synctest
// bubble.

func configMaps() history.Resource {
	return history.Resource{Version: "v1", Plural: "configmaps", Kind: "ConfigMap", Namespaced: true}
}

// script answers requests in order, and repeats the last answer. It records the
// requests.
type script struct {
	answers []http.HandlerFunc

	mu    sync.Mutex
	asked []string
	when  []time.Time
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := min(len(s.asked), len(s.answers)-1)
	s.asked = append(s.asked, requestName(r.URL.Query()))
	s.when = append(s.when, time.Now())
	s.mu.Unlock()
	s.answers[n](w, r)
}

// requestName returns a short name of a request: "stream", "watch RV", "probe
// RV" or "list LIMIT CONTINUE".
func requestName(q url.Values) string {
	switch {
	case q.Get("sendInitialEvents") == "true" && q.Get("resourceVersionMatch") == "NotOlderThan" &&
		!q.Has("resourceVersion"):
		return "stream"
	case q.Get("watch") == "1" && q.Get("allowWatchBookmarks") == "true":
		return "watch " + q.Get("resourceVersion")
	case q.Get("resourceVersionMatch") == "NotOlderThan":
		return "probe " + q.Get("resourceVersion")
	case q.Has("watch"):
		return "unexpected " + q.Encode()
	default:
		return strings.TrimSpace(fmt.Sprintf("list %s %s", q.Get("limit"), q.Get("continue")))
	}
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// lines answers with these lines, and ends the answer regularly.
func lines(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, lines) }
}

// hang answers with these lines, and does not end the answer.
func hang(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		write(w, lines)
		<-r.Context().Done()
	}
}

// cut answers with these lines and a part of another line, and closes the
// connection.
func cut(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		write(w, lines)
		_, _ = io.WriteString(w, `{"type":"ADDED","object":{"metadata":{"resourceVersion":"99"`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func write(w http.ResponseWriter, lines []string) {
	for _, l := range lines {
		_, _ = io.WriteString(w, l+"\n")
	}
	_ = http.NewResponseController(w).Flush()
}

// status answers with a Status. header has names and values.
func status(code int, reason, message string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, failure(code, reason, message))
	}
}

// failure returns the JSON of a Status.
func failure(code int, reason, message string) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",`+
		`"message":%q,"reason":%q,"code":%d}`,
		message, reason, code)
}

// watchEvent returns the JSON of a watch event of a ConfigMap.
func watchEvent(typ, name string, rv int) string {
	return fmt.Sprintf(`{"type":%q,"object":%s}`, typ, object(name, rv))
}

func object(name string, rv int) string {
	return fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":%q,"resourceVersion":"%d"}}`, name, rv)
}

func bookmark(rv int) string {
	return fmt.Sprintf(`{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1",`+
		`"metadata":{"resourceVersion":"%d"}}}`, rv)
}

// initialEnd returns the bookmark at the end of the initial state.
func initialEnd(rv int) string {
	return fmt.Sprintf(`{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1",`+
		`"metadata":{"resourceVersion":"%d",`+
		`"annotations":{"k8s.io/initial-events-end":"true"}}}}`, rv)
}

// runScript runs a watcher against a server for some time of the bubble. It
// returns the changes of state and the error of Run.
func runScript(t *testing.T, s http.Handler, sink *fakeSink, d time.Duration) (changes []watcher.Change, err error) {
	t.Helper()
	network := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Hour}
	served := make(chan error, 1)
	go func() { served <- server.Serve(network) }()

	opts := watcher.Options{
		Logger:   slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnChange: func(c watcher.Change) { changes = append(changes, c) },
	}
	transport := &http.Transport{DialContext: network.dial}
	w, err := watcher.New(&rest.Config{Host: "http://server", Transport: transport}, configMaps(), sink, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	err = w.Run(ctx)
	cancel()
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Errorf("close the server: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve: got %v, want %v", err, http.ErrServerClosed)
	}
	synctest.Wait()
	return changes, err
}

// loggingServer is a server that records its requests: a script or a responder.
type loggingServer interface {
	http.Handler
	requests() []string
}

// checkRun runs a watcher like runScript. It fails the test if Run returns an
// error, or if the requests or the calls of the sink differ from the given
// ones. It returns the changes of state.
func checkRun(
	t *testing.T, s loggingServer, sink *fakeSink, d time.Duration, requests, calls []string,
) []watcher.Change {
	t.Helper()
	changes, err := runScript(t, s, sink, d)
	if err != nil {
		t.Errorf("Run: got error %v, want none", err)
	}
	if got := s.requests(); !slices.Equal(got, requests) {
		t.Errorf("requests\n got %q\nwant %q", got, requests)
	}
	if got := sink.calls(); !slices.Equal(got, calls) {
		t.Errorf("calls of the sink\n got %q\nwant %q", got, calls)
	}
	return changes
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
	case <-ctx.Done():
	}
	return nil, net.ErrClosed
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }
