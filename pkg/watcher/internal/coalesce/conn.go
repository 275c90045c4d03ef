package coalesce

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a connection that is read in beats.
type Conn struct {
	net.Conn

	dialer *Dialer
	socket *socket // nil if wake-ups can't be suppressed
	buffer buffer
	err    error // of the last read; returned when the buffer is empty

	deadlines sync.Mutex // guards bound, and the connection's read deadline
	bound     bool       // the owner set a deadline, so that no other may be

	got atomic.Pointer[time.Time] // when something was last read; nil if nothing ever was
}

// LastRead returns when something was last read; zero if nothing was. Any
// goroutine may call it, after Close too.
func (c *Conn) LastRead() time.Time {
	if at := c.got.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if c.buffer.empty() {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.buffer.take(p), nil
}

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	c.bound = !t.IsZero()
	return c.Conn.SetDeadline(t) //nolint:wrapcheck // the error is the connection's
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	c.bound = !t.IsZero()
	return c.Conn.SetReadDeadline(t) //nolint:wrapcheck // the error is the connection's
}

// owned reports whether the owner set a deadline.
func (c *Conn) owned() bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return c.bound
}

// limit bounds the next reads, unless the owner does; zero does not. It reports
// whether it could.
func (c *Conn) limit(t time.Time) bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return !c.bound && c.Conn.SetReadDeadline(t) == nil
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.dialer.conns.CompareAndDelete(endsOf(c.Conn), c)
	c.dialer.pool.close(&c.buffer)
	return c.Conn.Close() //nolint:wrapcheck // the error is the connection's
}

// fill waits for bytes, and then for more until they are due.
func (c *Conn) fill() error {
	if c.err != nil {
		return c.err
	}
	room := len(c.buffer.room())
	n := c.first()
	if n == 0 {
		return c.err
	}
	due := time.Now().Add(c.dialer.clock.due(time.Now()))
	slice, drained := longSlice, n < room
	for c.err == nil && !c.owned() {
		left := time.Until(due)
		if left <= 0 || drained && !c.dialer.hurry.wait(min(left-c.glance(), slice)) {
			break
		}
		if n, drained = c.more(due); !drained {
			break
		}
		if slice = longSlice; n >= c.much() {
			slice = shortSlice
		}
	}
	c.dialer.clock.handed(time.Now())
	return nil
}

// first blocks until data arrives and reads it. Only during this wait may the
// kernel wake the reader at the first byte.
func (c *Conn) first() int {
	if c.socket == nil {
		return c.read(c.Conn.Read)
	}
	if n := c.read(c.socket.read); n > 0 || c.err != nil {
		return n
	}
	c.socket.wake()
	defer c.socket.hush()
	return c.read(c.Conn.Read)
}

// more reads the data that is available. It returns the number of bytes, and
// whether the buffer had room for all of them.
func (c *Conn) more(due time.Time) (n int, drained bool) {
	if c.socket != nil {
		return c.drain(c.socket.read)
	}
	wait := min(max(time.Until(due), glance), longSlice)
	if !c.limit(time.Now().Add(wait)) {
		return 0, false
	}
	n, drained = c.drain(c.Conn.Read)
	if errors.Is(c.err, os.ErrDeadlineExceeded) {
		c.err, drained = nil, true
	}
	c.limit(time.Time{})
	return n, drained
}

// drain reads until no data is available, or the buffer is full.
func (c *Conn) drain(read func([]byte) (int, error)) (n int, drained bool) {
	for c.err == nil && !drained {
		room := len(c.buffer.room())
		if room == 0 {
			break
		}
		got := c.read(read)
		n, drained = n+got, got < room
	}
	return n, drained
}

// read reads once into the buffer, which has room.
func (c *Conn) read(read func([]byte) (int, error)) int {
	n, err := read(c.buffer.room())
	c.buffer.filled(n)
	c.err = err
	if n > 0 {
		now := time.Now()
		c.got.Store(&now)
	}
	return n
}

// glance returns how long a read takes if no data is available.
func (c *Conn) glance() time.Duration {
	if c.socket != nil {
		return 0
	}
	return glance
}

// much returns how many bytes within a slice make the next slice short.
func (c *Conn) much() int {
	if c.socket != nil {
		return c.socket.holds / 4
	}
	return chunk
}
