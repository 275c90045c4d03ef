package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// ErrLost is the error of a tunnel that broke: the API server, the kubelet or the network between them went away.
var ErrLost = errors.New("lost connection to pod")

// RefusedError is what the kubelet said instead of forwarding, for example that nothing listens on the pod's port.
type RefusedError struct {
	Port    int32
	Message string
}

// Error returns the kubelet's words.
func (e *RefusedError) Error() string { return fmt.Sprintf("forward port %d: %s", e.Port, e.Message) }

// Tunnel is an open port-forward to one pod. It is safe for concurrent use.
type Tunnel struct {
	conn httpstream.Connection

	mu      sync.Mutex // guards what follows
	next    int        // request ID
	open    int        // connections begun and not ended yet
	retired bool       // no new connections; closed when the last one ends
	closed  bool
}

// New returns a tunnel in an established port-forward connection, which it takes over.
func New(conn httpstream.Connection) *Tunnel { return &Tunnel{conn: conn} }

// Usable tells whether new connections should go through the tunnel.
func (t *Tunnel) Usable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.retired && t.alive()
}

// alive needs the lock.
func (t *Tunnel) alive() bool {
	select {
	case <-t.conn.CloseChan():
		return false
	default:
		return !t.closed
	}
}

// Close breaks all connections in the tunnel. A tunnel that is broken already can't say goodbye, which is no error.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	alive := t.alive()
	t.closed = true
	t.mu.Unlock()
	if err := t.conn.Close(); err != nil && alive {
		return fmt.Errorf("close tunnel: %w", err)
	}
	return nil
}

// Open returns a connection to a port of the pod. Whether something listens there shows only at the first read or write,
// whose error is then a [*RefusedError]. [ErrLost] means that the tunnel is broken or closed.
//
// The kubelet's side has to accept the streams, for which the library below waits 30 seconds, whatever happens to the
// tunnel meanwhile. When Open gives up earlier, what it had begun is dropped as soon as that wait is over.
func (t *Tunnel) Open(ctx context.Context, port int32) (net.Conn, error) {
	type result struct {
		streams streams
		err     error
	}
	opened := make(chan result, 1)
	id := t.begin()
	go func() {
		s, err := t.streams(id, port)
		opened <- result{s, err}
	}()
	giveUp := func(why error) (net.Conn, error) {
		go func() { t.end((<-opened).streams, false) }()
		return nil, why
	}
	select {
	case r := <-opened:
		if r.err != nil {
			t.end(r.streams, false)
			return nil, fmt.Errorf("%w: open stream: %w", ErrLost, r.err)
		}
		return newConn(t, r.streams, port), nil
	case <-ctx.Done():
		return giveUp(context.Cause(ctx))
	case <-t.conn.CloseChan():
		return giveUp(ErrLost)
	}
}

// streams are the two directions of one forwarded connection, and the kubelet's complaints about it.
type streams struct{ data, complaints httpstream.Stream }

// streams opens both, which share a request ID. The complaints come first, as the protocol wants. On an error the streams
// that were opened are returned all the same.
func (t *Tunnel) streams(id int, port int32) (s streams, err error) {
	if s.complaints, err = t.stream(id, port, corev1.StreamTypeError); err != nil {
		return s, err
	}
	if err = s.complaints.Close(); err != nil { // its write side: we have nothing to say there
		return s, err
	}
	s.data, err = t.stream(id, port, corev1.StreamTypeData)
	return s, err
}

// stream opens one of them. A stream that is begun in a dead tunnel would keep the library from ending it.
func (t *Tunnel) stream(id int, port int32, kind string) (httpstream.Stream, error) {
	t.mu.Lock()
	alive := t.alive()
	t.mu.Unlock()
	if !alive {
		return nil, net.ErrClosed
	}
	header := http.Header{}
	header.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	header.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(id))
	header.Set(corev1.StreamType, kind)
	return t.conn.CreateStream(header)
}

// begin counts a connection, and returns the ID that its streams share. An end follows it.
func (t *Tunnel) begin() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	t.next++
	return t.next
}

// end resets a connection's streams, forgets them, and closes a retired tunnel behind its last connection.
func (t *Tunnel) end(s streams, refused bool) {
	for _, stream := range []httpstream.Stream{s.data, s.complaints} {
		if stream != nil {
			_ = stream.Reset()
			t.conn.RemoveStreams(stream)
		}
	}
	t.mu.Lock()
	t.open--
	t.retired = t.retired || refused
	last := t.retired && t.open == 0 && !t.closed
	t.closed = t.closed || last
	t.mu.Unlock()
	if last {
		_ = t.conn.Close()
	}
}

// lost tells whether the tunnel ended without anybody here having closed it.
func (t *Tunnel) lost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.closed && !t.alive()
}
