package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// lastWords is how long the kubelet may take to say why the data ended. It says it before or right after.
	lastWords = 5 * time.Second
	// longestComplaint is in bytes.
	longestComplaint = 4 << 10
)

// conn is one forwarded connection. A pipe stands between its user and the stream, because a stream has no deadlines of its
// own, and allows one reader only: the near end is the user's, the far end is pumped to and from the stream.
type conn struct {
	near  net.Conn
	addr  address
	fault atomic.Pointer[error] // why the stream ended, where that was no plain end
}

// newConn takes over the streams, and gives them back with tunnel.end.
func newConn(t *Tunnel, s streams, port int32) *conn {
	near, far := net.Pipe()
	c := &conn{near: near, addr: address(fmt.Sprintf("pod:%d", port))}
	go c.pump(t, s, port, far)
	return c
}

// pump runs until both directions have ended; each ends the other.
func (c *conn) pump(t *Tunnel, s streams, port int32, far net.Conn) {
	var up sync.WaitGroup
	up.Go(func() {
		// Ends when the user closes the near end, or the stream can't be written to. A reset tells the kubelet that nobody
		// reads either, which an orderly end would not.
		_, _ = io.Copy(s.data, far)
		_ = s.data.Reset()
		_ = s.complaints.Reset()
	})
	complaint := make(chan string, 1)
	go func() { complaint <- listen(s) }()

	_, _ = io.Copy(far, s.data)
	quiet := time.AfterFunc(lastWords, func() { _ = s.complaints.Reset() })
	message := <-complaint
	quiet.Stop()

	var fault error
	switch {
	case message != "":
		fault = &RefusedError{Port: port, Message: message}
	case t.lost():
		fault = ErrLost
	}
	if fault != nil {
		c.fault.Store(&fault)
	}
	t.end(s, message != "") // before the user can see the fault, so that the next Usable tells of it
	_ = far.Close()
	up.Wait()
}

// listen waits for the kubelet's complaint, or for the end of the connection.
func listen(s streams) string {
	text, _ := io.ReadAll(io.LimitReader(s.complaints, longestComplaint))
	message := strings.TrimSpace(string(text))
	if message != "" {
		_ = s.data.Reset()
	}
	return message
}

// Read gives the reason for the end, where there was one, in place of io.EOF.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.near.Read(p)
	return n, c.reason(err)
}

// Write returns when the bytes are on their way into the tunnel, which is not yet at the pod.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.near.Write(p)
	return n, c.reason(err)
}

func (c *conn) reason(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		if fault := c.fault.Load(); fault != nil {
			return *fault
		}
	}
	return err
}

// Close resets the connection: the pod's side ends too. What was written before still arrives.
func (c *conn) Close() error { return c.near.Close() }

func (c *conn) LocalAddr() net.Addr                { return address("tunnel") }
func (c *conn) RemoteAddr() net.Addr               { return c.addr }
func (c *conn) SetDeadline(t time.Time) error      { return c.near.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.near.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.near.SetWriteDeadline(t) }

// address is an end of a forwarded connection; it is no network address.
type address string

func (a address) Network() string { return "portforward" }
func (a address) String() string  { return string(a) }
