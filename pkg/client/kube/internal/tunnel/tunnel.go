package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// ErrLost is the error of a tunnel that broke: the API server, the kubelet or
// the network between them failed.
var ErrLost = errors.New("lost connection to pod")

// RefusedError is an error that the kubelet reported, such as that nothing
// listens on the pod's port.
type RefusedError struct {
	Port    int32
	Message string
}

// Error returns the port and the kubelet's message.
func (e *RefusedError) Error() string { return fmt.Sprintf("forward port %d: %s", e.Port, e.Message) }

// openTimeout bounds the time in which the kubelet accepts the streams of a
// connection. It answers before it connects to the pod.
const openTimeout = 5 * time.Second

// Tunnel is an open port-forward to one pod. It is safe for concurrent use.
type Tunnel struct {
	conn httpstream.Connection

	mu      sync.Mutex // guards the fields below
	next    int        // the last request ID
	open    int        // connections that have begun and not ended
	retired bool       // no new connections; closed when the last one ends
	closed  bool
}

// New returns a tunnel in an established port-forward connection. It takes
// ownership of the connection.
func New(conn httpstream.Connection) *Tunnel { return &Tunnel{conn: conn} }

// Usable reports whether the tunnel accepts new connections.
func (t *Tunnel) Usable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.retired && t.alive()
}

// alive reports whether the tunnel is neither closed nor broken. The caller
// holds the lock.
func (t *Tunnel) alive() bool {
	select {
	case <-t.conn.CloseChan():
		return false
	default:
		return !t.closed
	}
}

// Close breaks all connections in the tunnel. Closing a broken tunnel is not an
// error.
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

// Open returns a connection to a port of the pod. If nothing listens there, the
// first read or write returns a [*RefusedError]. [ErrLost] means that the
// tunnel is broken or closed.
//
// A kubelet that does not accept the streams within [openTimeout] retires the
// tunnel. The library below waits longer, even if the tunnel breaks. If Open
// returns before, the streams are released when that wait ends.
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
	slow := time.NewTimer(openTimeout)
	defer slow.Stop()
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
	case <-slow.C:
		t.retire()
		return giveUp(fmt.Errorf("%w: no stream within %s", ErrLost, openTimeout))
	}
}

// retire ends the use of the tunnel for new connections.
func (t *Tunnel) retire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.retired = true
}

// streams are the streams of one forwarded connection: its data, in both
// directions, and the kubelet's errors.
type streams struct{ data, errors httpstream.Stream }

// streams opens both streams, which share a request ID. The protocol requires
// the error stream to be first. On an error, the streams that were opened are
// returned, too.
func (t *Tunnel) streams(id int, port int32) (s streams, err error) {
	if s.errors, err = t.stream(id, port, corev1.StreamTypeError); err != nil {
		return s, err
	}
	if err = s.errors.Close(); err != nil { // the write side, which is not used
		return s, err
	}
	s.data, err = t.stream(id, port, corev1.StreamTypeData)
	return s, err
}

// stream opens one stream. A stream that is opened in a broken tunnel would
// prevent the library from releasing the connection.
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

// begin counts a connection, and returns the request ID of its streams. Each
// begin is followed by one end.
func (t *Tunnel) begin() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	t.next++
	return t.next
}

// end resets a connection's streams and releases them. It closes a retired
// tunnel after its last connection. retire retires the tunnel.
func (t *Tunnel) end(s streams, retire bool) {
	for _, stream := range []httpstream.Stream{s.data, s.errors} {
		if stream != nil {
			_ = stream.Reset()
			t.conn.RemoveStreams(stream)
		}
	}
	t.mu.Lock()
	t.open--
	t.retired = t.retired || retire
	last := t.retired && t.open == 0 && !t.closed
	t.closed = t.closed || last
	t.mu.Unlock()
	if last {
		_ = t.conn.Close()
	}
}

// lost reports whether the tunnel broke, without having been closed here.
func (t *Tunnel) lost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.closed && !t.alive()
}
