package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/watchhistory/watchhistory/pkg/client/internal/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dialer(tun *tunnel.Tunnel, port int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return tun.Open(ctx, port) }
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		pod, kubeletSide := connected(t)
		tun, _ := forwarding(t, func(string) (*net.TCPConn, error) { return kubeletSide, nil })
		c1, err = tun.Open(t.Context(), 8080)
		return c1, pod, func() {
			_ = c1.Close()
			_ = pod.Close()
			_ = tun.Close()
		}, err
	})
}

func TestRequestsShareATunnel(t *testing.T) {
	body := bytes.Repeat([]byte("watchhistory"), 40_000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(append([]byte(r.URL.Path), body...))
	}))
	defer s.Close()
	tun, _ := forwarding(t, to(s.Listener.Addr()))
	web := through(t, tun, 8080)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			for j := range 5 {
				path := fmt.Sprintf("/%d/%d", i, j)
				if got, err := fetch(t.Context(), web, path); err != nil || !bytes.Equal(got, append([]byte(path), body...)) {
					t.Errorf("%s: %d bytes, %v", path, len(got), err)
				}
			}
		})
	}
	all.Wait()
}

func fetch(ctx context.Context, web *http.Client, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pod"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := web.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func TestRefusalEndsOneConnectionOnly(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer s.Close()
	tun, _ := forwarding(t, func(port string) (*net.TCPConn, error) {
		if port == "9" {
			return nil, errors.New("dial tcp4 127.0.0.1:9: connect: connection refused")
		}
		return to(s.Listener.Addr())(port)
	})
	web := through(t, tun, 8080)
	if got, err := fetch(t.Context(), web, "/"); err != nil || string(got) != "here" {
		t.Fatalf("before: %q, %v", got, err)
	}
	_, err := fetch(t.Context(), through(t, tun, 9), "/")
	refusal, ok := errors.AsType[*tunnel.RefusedError](err)
	if !ok || refusal.Port != 9 || refusal.Message != "dial tcp4 127.0.0.1:9: connect: connection refused" {
		t.Errorf("got %v, want the kubelet's refusal", err)
	}
	if tun.Usable() {
		t.Error("the tunnel is still used for new connections after a refusal")
	}
	if got, err := fetch(t.Context(), web, "/"); err != nil || string(got) != "here" {
		t.Errorf("on the connection that was open: %q, %v", got, err)
	}
}

func TestRetiredTunnelClosesWithItsLastConnection(t *testing.T) {
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) { return nil, errors.New("no such container") })
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("read from a connection that was refused")
	}
	<-k.conn.CloseChan()
}

func TestLostTunnel(t *testing.T) {
	pod, kubeletSide := connected(t)
	defer pod.Close()
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) { return kubeletSide, nil })
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err = io.WriteString(conn, "?"); err != nil {
		t.Fatal(err)
	}
	if _, err = io.ReadFull(pod, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err = k.wire.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err = conn.Read(make([]byte, 1)); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("read: got %v, want ErrLost", err)
	}
	if tun.Usable() {
		t.Error("a lost tunnel is still used")
	}
	if _, err = tun.Open(t.Context(), 8080); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("open: got %v, want ErrLost", err)
	}
}

func TestCloseReachesThePod(t *testing.T) {
	pod, kubeletSide := connected(t)
	defer pod.Close()
	tun, _ := forwarding(t, func(string) (*net.TCPConn, error) { return kubeletSide, nil })
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.WriteString(conn, "last words"); err != nil {
		t.Fatal(err)
	}
	if err = conn.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(pod)
	if err != nil || string(got) != "last words" {
		t.Errorf("the pod read %q, %v", got, err)
	}
	if _, err = conn.Write([]byte("more")); err == nil {
		t.Error("wrote to a closed connection")
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	forwarded := make(chan bool, 2)
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) {
		forwarded <- true
		return nil, errors.New("nothing listens")
	})
	k.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := tun.Open(ctx, 8080)
		ended <- err
	}()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	close(k.gate)
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatalf("the next one: %v", err)
	}
	if err = conn.Close(); err != nil {
		t.Error(err)
	}
	<-forwarded
	<-forwarded // the abandoned one too has come to its end
}

func TestClosedTunnelOpensNothing(t *testing.T) {
	tun, _ := forwarding(t, nil)
	if err := tun.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tun.Open(t.Context(), 8080); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
}
