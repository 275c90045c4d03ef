package tunnel_test

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/watchhistory/watchhistory/pkg/client/kube/internal/tunnel"
)

// kubelet is the far end of a tunnel. It forwards each connection to the one
// that dial returns.
type kubelet struct {
	dial func(port string) (*net.TCPConn, error)
	conn httpstream.Connection
	wire net.Conn      // carries the tunnel
	gate chan struct{} // if not nil, streams are accepted after it is closed
	// keepStreams makes the kubelet end a connection as a real one does: it
	// closes the streams, and does not read them any more.
	keepStreams bool

	mu       sync.Mutex
	awaiting map[string]httpstream.Stream // error streams, by request ID
}

// forwarding returns a tunnel over a TCP connection, and the kubelet at its
// end.
func forwarding(t *testing.T, dial func(port string) (*net.TCPConn, error)) (*tunnel.Tunnel, *kubelet) {
	t.Helper()
	near, far := connected(t)
	k := &kubelet{dial: dial, wire: &closedOnce{Conn: far}, awaiting: map[string]httpstream.Stream{}}
	var err error
	if k.conn, err = spdy.NewServerConnection(k.wire, k.accept); err != nil {
		t.Fatal(err)
	}
	conn, err := spdy.NewClientConnection(near)
	if err != nil {
		t.Fatal(err)
	}
	tun := tunnel.New(conn)
	t.Cleanup(func() {
		_ = tun.Close()
		<-k.conn.CloseChan() // the far end ends with the near one
		_ = k.conn.Close()
	})
	return tun, k
}

func (k *kubelet) accept(stream httpstream.Stream, replied <-chan struct{}) error {
	if k.gate != nil {
		<-k.gate
	}
	id := stream.Headers().Get(corev1.PortForwardRequestIDHeader)
	k.mu.Lock()
	defer k.mu.Unlock()
	if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
		k.awaiting[id] = stream
		return nil
	}
	errors := k.awaiting[id]
	delete(k.awaiting, id)
	go func() {
		<-replied
		k.forward(stream, errors)
	}()
	return nil
}

func (k *kubelet) forward(data, errors httpstream.Stream) {
	defer k.conn.RemoveStreams(data, errors)
	defer func() {
		_ = errors.Close()
		_ = data.Close()
		if !k.keepStreams {
			_ = data.Reset() // discards further data
		}
	}()
	conn, err := k.dial(data.Headers().Get(corev1.PortHeader))
	if err != nil {
		_, _ = io.WriteString(errors, err.Error())
		return
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, data)
		_ = conn.CloseWrite()
	}()
	_, _ = io.Copy(data, conn)
}

// closedOnce can be closed by a test before its owner closes it. The owner
// would block on the error of the second Close.
type closedOnce struct {
	net.Conn
	once sync.Once
}

func (c *closedOnce) Close() (err error) {
	c.once.Do(func() { err = c.Conn.Close() })
	return err
}

// connected returns the two ends of a TCP connection, for the caller to close.
func connected(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// to returns a dial function that connects every port to a server.
func to(addr net.Addr) func(string) (*net.TCPConn, error) {
	return func(string) (*net.TCPConn, error) { return net.DialTCP("tcp", nil, addr.(*net.TCPAddr)) }
}

// through returns an HTTP client whose connections go through the tunnel.
func through(t *testing.T, tun *tunnel.Tunnel, port int32) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: dialer(tun, port)}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}
