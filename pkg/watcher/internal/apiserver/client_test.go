package apiserver_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// patience bounds waiting. It is far longer than needed on any machine.
const patience = time.Minute

// newServer returns the configuration for an HTTP/2 server. Its answers begin
// at once, and end with their requests.
func newServer(t *testing.T) *rest.Config {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// connect returns a client, and a context for its requests.
func connect(t *testing.T, cfg *rest.Config) (*apiserver.Client, context.Context, context.CancelFunc) {
	t.Helper()
	client, err := apiserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	return client, ctx, cancel
}

// stalled is a connection that writes only while writes is not locked.
type stalled struct {
	net.Conn

	writes sync.Mutex
	closed chan struct{}
	once   sync.Once
}

func (s *stalled) Write(p []byte) (int, error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	return s.Conn.Write(p)
}

func (s *stalled) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// The server does not learn over this connection that a request was canceled.
func TestClose_DoesNotWaitForACanceledRequest(t *testing.T) {
	cfg := newServer(t)
	conn := &stalled{closed: make(chan struct{})}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		conn.Conn = c
		return conn, err
	}
	client, ctx, cancel := connect(t, cfg)
	defer cancel()
	body, err := client.Get(ctx, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.writes.Lock()
	defer conn.writes.Unlock()
	cancel()
	_ = body.Close()
	client.Close()
	select {
	case <-conn.closed:
	case <-time.After(patience):
		t.Errorf("got an open connection after %s, want it closed", patience)
	}
}

// The transport dials for a request that is canceled. The connection is opened
// after the client was closed.
func TestClose_ClosesLaterConnections(t *testing.T) {
	cfg := newServer(t)
	dialing, late, conn := make(chan struct{}), make(chan struct{}), &stalled{closed: make(chan struct{})}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		close(dialing)
		<-late
		c, err := (&net.Dialer{}).DialContext(context.WithoutCancel(ctx), network, address)
		conn.Conn = c
		return conn, err
	}
	client, ctx, cancel := connect(t, cfg)
	defer cancel()
	go func() {
		<-dialing
		cancel()
	}()
	if _, err := client.Get(ctx, "/", nil); err == nil {
		t.Fatal("got an answer without a connection, want an error")
	}
	client.Close()
	close(late)
	select {
	case <-conn.closed:
	case <-time.After(patience):
		t.Errorf("got an open connection after %s, want it closed", patience)
	}
}

// Bytes of any answer on the connection prove that the server is alive.
func TestAlive_CountsOtherAnswersOfTheConnection(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		for c := http.NewResponseController(w); r.Context().Err() == nil; {
			_ = c.Flush()
			if r.URL.Path == "/quiet" {
				<-r.Context().Done()
			}
			_, _ = w.Write([]byte("x"))
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	client, ctx, cancel := connect(t, &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	defer cancel()
	defer client.Close()
	busy, err := client.Get(ctx, "/busy", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	go func() { _, _ = io.Copy(io.Discard, busy) }()
	before := time.Now()
	quiet, err := client.Get(ctx, "/quiet", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close()
	hangUp := time.AfterFunc(time.Second, client.Close)
	defer hangUp.Stop()
	if _, err := quiet.Read(make([]byte, 1)); !apiserver.IsNetworkError(err) {
		t.Errorf("end of the answer: got %v, want a network error", err)
	}
	if got := quiet.Alive(); got.Before(before) || got.After(time.Now()) {
		t.Errorf("alive: got %s, want it after %s and in the past", got, before)
	}
}

// An answer of discovery that never ends is an error and takes bounded memory.
func TestResources_AnswerWithoutAnEndIsAnError(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, `{"kind":"APIGroupList","groups":[`)
		for err == nil {
			_, err = io.WriteString(w, strings.Repeat(`{"name":"x"},`, 1000))
		}
	}))
	t.Cleanup(s.Close)
	client, err := apiserver.New(&rest.Config{Host: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, _, err := client.Resources(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("got %v, want an error with \"larger than 16 MiB\"", err)
	}
}
