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

// patience bounds what is waited for: far longer than it takes, on any machine.
const patience = time.Minute

// server is an HTTP/2 server whose answers begin, and end with their requests.
func server(t *testing.T) *rest.Config {
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

// connect returns a client, and what its request ends with.
func connect(t *testing.T, cfg *rest.Config) (*apiserver.Client, context.Context, context.CancelFunc) {
	t.Helper()
	client, err := apiserver.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	return client, ctx, cancel
}

// stalled is a connection that writes only while it is let.
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

// TestCloseDoesNotWaitForACanceledRequest has a request canceled on a connection that can't tell the server so.
func TestCloseDoesNotWaitForACanceledRequest(t *testing.T) {
	cfg := server(t)
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
		t.Error("the connection stays open")
	}
}

// TestNothingIsOpenedAfterClose has a connection come after the request that asked for it was canceled, and the client closed.
func TestNothingIsOpenedAfterClose(t *testing.T) {
	cfg := server(t)
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
		t.Fatal("an answer came without a connection")
	}
	client.Close()
	close(late)
	select {
	case <-conn.closed:
	case <-time.After(patience):
		t.Error("the connection stays open")
	}
}

// TestBody_KnowsWhenTheServerWasAlive: whatever arrives on the connection while
// an answer is read proves it.
func TestBody_KnowsWhenTheServerWasAlive(t *testing.T) {
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
		t.Errorf("the answer ends with %v, want an error of the network", err)
	}
	if got := quiet.Alive(); got.Before(before) || got.After(time.Now()) {
		t.Errorf("alive at %s, want it after %s", got, before)
	}
}

// TestResources_OfAServerWithoutAnEnd: an answer of discovery that never ends
// is an error, and takes no more memory than an answer may.
func TestResources_OfAServerWithoutAnEnd(t *testing.T) {
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
	if _, err := client.Resources(t.Context()); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("got %v, want that the answer is larger than 16 MiB", err)
	}
}
