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

	"github.com/watchhistory/watchhistory/pkg/client/kube/internal/tunnel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dialer(tun *tunnel.Tunnel, port int32) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return tun.Open(ctx, port) }
}

func TestConn_IsNetConn(t *testing.T) {
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

func TestTunnel_IsSharedByRequests(t *testing.T) {
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
				if got, err := fetch(t.Context(), web, path); err != nil ||
					!bytes.Equal(got, append([]byte(path), body...)) {
					t.Errorf("%s: got %d bytes, error %v, want %d bytes that begin with the path",
						path, len(got), err, len(path)+len(body))
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

func TestTunnel_RefusalEndsOneConnection(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "here")
	}))
	defer s.Close()
	tun, _ := forwarding(t, func(port string) (*net.TCPConn, error) {
		if port == "9" {
			return nil, errors.New("dial tcp4 127.0.0.1:9: connect: connection refused")
		}
		return to(s.Listener.Addr())(port)
	})
	web := through(t, tun, 8080)
	if got, err := fetch(t.Context(), web, "/"); err != nil || string(got) != "here" {
		t.Fatalf("before the refusal: got %q, error %v, want here", got, err)
	}
	_, err := fetch(t.Context(), through(t, tun, 9), "/")
	refusal, ok := errors.AsType[*tunnel.RefusedError](err)
	if !ok || refusal.Port != 9 || refusal.Message != "dial tcp4 127.0.0.1:9: connect: connection refused" {
		t.Errorf("got error %v, want the kubelet's refusal of port 9", err)
	}
	if tun.Usable() {
		t.Error("usable after a refusal: got true, want false")
	}
	if got, err := fetch(t.Context(), web, "/"); err != nil || string(got) != "here" {
		t.Errorf("on the open connection: got %q, error %v, want here", got, err)
	}
}

func TestTunnel_RetiredClosesAfterLastConnection(t *testing.T) {
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) { return nil, errors.New("no such container") })
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("read from a refused connection: got no error, want one")
	}
	<-k.conn.CloseChan()
}

func TestTunnel_LostIsReported(t *testing.T) {
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
		t.Errorf("read: got error %v, want ErrLost", err)
	}
	if tun.Usable() {
		t.Error("usable after the loss: got true, want false")
	}
	if _, err = tun.Open(t.Context(), 8080); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("open: got error %v, want ErrLost", err)
	}
}

// TestTunnel_IsRetiredIfPodCloses checks a pod that closes a connection while
// more is sent. The kubelet does not read that, and its library then blocks
// further streams of the tunnel.
func TestTunnel_IsRetiredIfPodCloses(t *testing.T) {
	pods := make(chan *net.TCPConn, 1)
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) {
		pod, kubeletSide := connected(t)
		pods <- pod
		return kubeletSide, nil
	})
	k.keepStreams = true
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	pod := <-pods
	if err := pod.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read after the pod closed: got error %v, want EOF", err)
	}
	if tun.Usable() {
		t.Error("usable after the pod closed a connection: got true, want false")
	}
	if _, err := conn.Write([]byte("?")); err == nil {
		t.Error("write after the pod closed: got no error, want one")
	}
}

// TestOpen_EndsIfStreamsAreNotAccepted waits for the timeout.
func TestOpen_EndsIfStreamsAreNotAccepted(t *testing.T) {
	tun, k := forwarding(t, func(string) (*net.TCPConn, error) { return nil, errors.New("nothing listens") })
	k.gate = make(chan struct{})
	defer close(k.gate)
	if _, err := tun.Open(t.Context(), 8080); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("got error %v, want ErrLost", err)
	}
	if tun.Usable() {
		t.Error("usable afterwards: got true, want false")
	}
}

func TestConn_CloseReachesPod(t *testing.T) {
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
		t.Errorf("read by the pod: got %q, error %v, want last words", got, err)
	}
	if _, err = conn.Write([]byte("more")); err == nil {
		t.Error("write to a closed connection: got no error, want one")
	}
}

func TestOpen_EndsWithContext(t *testing.T) {
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
		t.Errorf("got error %v, want Canceled", err)
	}
	close(k.gate)
	conn, err := tun.Open(t.Context(), 8080)
	if err != nil {
		t.Fatalf("next open: got error %v, want none", err)
	}
	if err = conn.Close(); err != nil {
		t.Errorf("close: got error %v, want none", err)
	}
	<-forwarded
	<-forwarded // the abandoned connection has ended, too
}

func TestTunnel_ClosedOpensNothing(t *testing.T) {
	tun, _ := forwarding(t, nil)
	if err := tun.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tun.Open(t.Context(), 8080); !errors.Is(err, tunnel.ErrLost) {
		t.Errorf("got error %v, want ErrLost", err)
	}
}
