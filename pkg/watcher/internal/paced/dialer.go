// Package paced reads connections in beats. A busy watch brings an event every few milliseconds, and waking up for each costs more
// than all that is done with it; what arrives within a beat is read at once.
//
// It owns when a connection is read, and never what is read: bytes come out as they went in, all of them, in their order. What
// comes after a silence waits for nothing, and neither does a stream that brings more than is read at once.
package paced

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Beat is how long what has arrived waits at the most for what else may arrive.
const Beat = 50 * time.Millisecond

// Ahead is how much is read at once, in bytes.
const Ahead = 64 << 10

// Dialer opens connections that are read in beats, unless somebody is in a hurry. It is safe for concurrent use.
type Dialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	hurry atomic.Int32
	conns sync.Map // *Conn by ends, while they are open
}

// ends are the two addresses of a connection.
type ends struct{ local, remote string }

func endsOf(c net.Conn) ends { return ends{c.LocalAddr().String(), c.RemoteAddr().String()} }

// NewDialer returns a dialer of connections that dial opens.
func NewDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Dialer {
	return &Dialer{dial: dial}
}

// Hurry lets everything be read as soon as it arrives, until the returned function is called.
func (d *Dialer) Hurry() (over func()) {
	d.hurry.Add(1)
	return sync.OnceFunc(func() { d.hurry.Add(-1) })
}

// DialContext opens a connection, which one goroutine at a time may read.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // it stands for the other dialer
	}
	paced := &Conn{Conn: c, dialer: d, buffer: make([]byte, Ahead)}
	d.conns.Store(endsOf(c), paced)
	return paced, nil
}

// Find returns the open connection below another one, as below that of TLS;
// nil if there is none. They have the same addresses.
func (d *Dialer) Find(above net.Conn) *Conn {
	found, _ := d.conns.Load(endsOf(above))
	conn, _ := found.(*Conn)
	return conn
}

// Conn is a connection that is read in beats.
type Conn struct {
	net.Conn

	dialer  *Dialer
	buffer  []byte
	rest    []byte    // of the buffer, not handed out yet
	last    time.Time // of the last read
	drained bool      // that read left nothing behind

	read atomic.Pointer[time.Time] // when something was last read; nil if nothing ever was
}

// LastRead returns when something was last read; zero if nothing was. Any
// goroutine may call it, after Close too.
func (c *Conn) LastRead() time.Time {
	if at := c.read.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.dialer.conns.CompareAndDelete(endsOf(c.Conn), c)
	return c.Conn.Close() //nolint:wrapcheck // it stands for the connection
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// fill reads what has arrived, or waits for it. An error that comes with bytes comes again with the next read.
func (c *Conn) fill() error {
	if wait := Beat - time.Since(c.last); c.drained && wait > 0 && c.dialer.hurry.Load() == 0 {
		time.Sleep(wait)
	}
	n, err := c.Conn.Read(c.buffer)
	c.rest, c.last, c.drained = c.buffer[:n], time.Now(), n < len(c.buffer)
	if n > 0 {
		at := c.last
		c.read.Store(&at)
		return nil
	}
	return err //nolint:wrapcheck // it stands for the connection
}
