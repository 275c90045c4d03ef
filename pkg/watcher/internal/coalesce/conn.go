package coalesce

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a connection whose reads are coalesced. Writes are not delayed. One
// goroutine at a time may read it. All other methods are safe for concurrent
// use.
type Conn struct {
	net.Conn

	dialer *Dialer
	socket *socket // nil if wake-ups can't be suppressed
	buffer buffer
	err    error // of the last read; returned when the buffer is empty

	deadlines sync.Mutex // guards owned, and the connection's read deadline
	owned     bool       // the owner set a deadline, so the Conn must not set another

	lastRead atomic.Pointer[time.Time] // nil before the first
}

// LastRead returns when bytes were last read from the network. It returns zero
// if none were. It is safe for concurrent use, also after Close.
func (c *Conn) LastRead() time.Time {
	if at := c.lastRead.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Read implements [net.Conn]. One goroutine at a time may call it.
func (c *Conn) Read(p []byte) (int, error) {
	if c.buffer.empty() {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.buffer.readInto(p), nil
}

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	c.owned = !t.IsZero()
	return c.Conn.SetDeadline(t) //nolint:wrapcheck // the error is the connection's
}

// SetReadDeadline implements [net.Conn]. While a deadline is set, reads are not
// coalesced.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	c.owned = !t.IsZero()
	return c.Conn.SetReadDeadline(t) //nolint:wrapcheck // the error is the connection's
}

// hasDeadline reports whether the owner set a deadline.
func (c *Conn) hasDeadline() bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return c.owned
}

// setReadLimit sets the read deadline, unless the owner did. It reports whether
// it could. The zero time removes the deadline.
func (c *Conn) setReadLimit(t time.Time) bool {
	c.deadlines.Lock()
	defer c.deadlines.Unlock()
	return !c.owned && c.Conn.SetReadDeadline(t) == nil
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.dialer.conns.CompareAndDelete(endpointsOf(c.Conn), c)
	c.dialer.pool.close(&c.buffer)
	return c.Conn.Close() //nolint:wrapcheck // the error is the connection's
}

// fill blocks until bytes arrive, and collects more until they are due.
//
// While it waits, it empties the kernel's buffer every longSlice, so that the
// sender is never blocked. After a slice with many bytes, the next one is a
// shortSlice.
func (c *Conn) fill() error {
	if c.err != nil {
		return c.err
	}
	space := len(c.buffer.space()) // not 0, because the buffer is empty
	n := c.readFirst()
	if n == 0 {
		return c.err
	}
	due := time.Now().Add(c.dialer.schedule.delay(time.Now()))
	slice, drained := longSlice, n < space
	for c.err == nil && !c.hasDeadline() {
		left := time.Until(due)
		if left <= 0 || drained && !c.dialer.immediate.wait(min(left-c.pollTime(), slice)) {
			break
		}
		if n, drained = c.readMore(due); !drained { // the buffer is full
			break
		}
		if slice = longSlice; n >= c.busySlice() {
			slice = shortSlice
		}
	}
	c.dialer.schedule.released(time.Now())
	return nil
}

// readFirst blocks until bytes arrive, and reads them. It returns their number.
// Only during this wait may the kernel wake the reader at the first byte.
func (c *Conn) readFirst() int {
	if c.socket == nil {
		return c.read(c.Conn.Read)
	}
	if n := c.read(c.socket.read); n > 0 || c.err != nil {
		return n
	}
	c.socket.allowWakeups()
	defer c.socket.suppressWakeups()
	return c.read(c.Conn.Read)
}

// readMore reads the bytes that are available. It returns their number, and
// whether the buffer had room for all of them.
func (c *Conn) readMore(due time.Time) (n int, drained bool) {
	if c.socket != nil {
		return c.drain(c.socket.read)
	}
	wait := min(max(time.Until(due), pollTimeout), longSlice)
	if !c.setReadLimit(time.Now().Add(wait)) {
		return 0, false
	}
	n, drained = c.drain(c.Conn.Read)
	if errors.Is(c.err, os.ErrDeadlineExceeded) {
		c.err, drained = nil, true
	}
	c.setReadLimit(time.Time{})
	return n, drained
}

// drain reads until no bytes are available, or the buffer is full. A read that
// does not fill its space has drained the connection.
func (c *Conn) drain(read func([]byte) (int, error)) (n int, drained bool) {
	for c.err == nil && !drained {
		space := len(c.buffer.space())
		if space == 0 {
			break
		}
		got := c.read(read)
		n, drained = n+got, got < space
	}
	return n, drained
}

// read reads once into the buffer, which must have space. It keeps the error in
// err.
func (c *Conn) read(read func([]byte) (int, error)) int {
	n, err := read(c.buffer.space())
	c.buffer.written(n)
	c.err = err
	if n > 0 {
		now := time.Now()
		c.lastRead.Store(&now)
	}
	return n
}

// pollTime returns how long a read takes if no bytes are available.
func (c *Conn) pollTime() time.Duration {
	if c.socket != nil {
		return 0
	}
	return pollTimeout
}

// busySlice returns the number of bytes in a slice that makes the next one
// short.
func (c *Conn) busySlice() int {
	if c.socket != nil {
		return c.socket.lowWaterMark / 4
	}
	return chunkSize
}
