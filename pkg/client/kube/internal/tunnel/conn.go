package tunnel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// errorDelay is how long pump waits for the kubelet's error after the end
	// of the data.
	errorDelay = 5 * time.Second
	// maxErrorText bounds the kubelet's error, in bytes.
	maxErrorText = 4 << 10
)

// conn is one forwarded connection.
//
// A stream has no deadlines and allows only one reader. So the user reads and
// writes the near end of a pipe, and pump copies between the far end and the
// stream.
type conn struct {
	near  net.Conn
	addr  address
	fault atomic.Pointer[error] // why the stream ended; nil after an orderly end
}

// newConn takes ownership of the streams. It returns it with tunnel.end.
func newConn(t *Tunnel, s streams, port int32) *conn {
	near, far := net.Pipe()
	c := &conn{near: near, addr: address(fmt.Sprintf("pod:%d", port))}
	go c.pump(t, s, port, far)
	return c
}

// pump copies in both directions until both have ended. The end of one ends the
// other. If the pod's side ended first, the tunnel is retired.
func (c *conn) pump(t *Tunnel, s streams, port int32, far net.Conn) {
	var up sync.WaitGroup
	var closed atomic.Bool // by the user, or because writing to the stream failed
	up.Go(func() {
		if _, err := io.Copy(s.data, far); errors.Is(err, os.ErrDeadlineExceeded) {
			return // the pod's side has ended
		}
		// Unlike an orderly end, a reset also ends the other direction.
		closed.Store(true)
		_ = s.data.Reset()
		_ = s.errors.Reset()
	})
	reported := make(chan string, 1)
	go func() { reported <- readError(s) }()

	_, err := io.Copy(far, s.data)
	ended := err == nil && !closed.Load() // by the pod's side
	if ended {
		_ = far.SetReadDeadline(time.Unix(0, 1)) // nothing reads at the other end
	}
	timeout := time.AfterFunc(errorDelay, func() { _ = s.errors.Reset() })
	message := <-reported
	timeout.Stop()

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
	up.Wait()
	t.end(s, message != "" || ended) // first: a user who sees the fault calls Usable next
	_ = far.Close()
}

// readError waits for the kubelet's error, or for the end of the connection.
func readError(s streams) string {
	text, _ := io.ReadAll(io.LimitReader(s.errors, maxErrorText))
	message := strings.TrimSpace(string(text))
	if message != "" {
		_ = s.data.Reset()
	}
	return message
}

// Read returns the kubelet's error, if there was one, instead of io.EOF.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.near.Read(p)
	return n, c.reason(err)
}

// Write returns when the bytes have been passed to the tunnel. They may not
// have reached the pod.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.near.Write(p)
	return n, c.reason(err)
}

// reason returns why the stream ended, if that is known and err is the end of
// the pipe. Otherwise it returns err.
func (c *conn) reason(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
		if fault := c.fault.Load(); fault != nil {
			return *fault
		}
	}
	return err
}

// Close resets the connection, also on the pod's side. Data that was written
// before still arrives.
func (c *conn) Close() error { return c.near.Close() }

func (c *conn) LocalAddr() net.Addr                { return address("tunnel") }
func (c *conn) RemoteAddr() net.Addr               { return c.addr }
func (c *conn) SetDeadline(t time.Time) error      { return c.near.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.near.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.near.SetWriteDeadline(t) }

// address is an end of a forwarded connection, and not a network address.
type address string

func (a address) Network() string { return "portforward" }
func (a address) String() string  { return string(a) }
