// Package coalesce reads connections in beats. A busy watch brings an event every
// few milliseconds, and waking up for each costs more than all that is done
// with it. So the bytes that arrive within a beat are handed out together, on
// all connections at the same moments.
//
// The package owns when bytes are handed out, and never which: bytes come out
// as they went in, all of them, in their order. The first bytes after silence
// wait for nothing.
package coalesce

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// Beat is how long bytes wait at most before they are handed out. After as
	// long a silence they are handed out at once.
	Beat = 200 * time.Millisecond
	// Echo is when, after each beat, bytes are handed out once more. Whoever
	// merges several streams finds there what was late for the beat.
	Echo = 40 * time.Millisecond

	// Ahead bounds the bytes that wait on one connection. They are handed out
	// early when there are more.
	Ahead = 1 << 20
	// shared bounds the bytes that wait on all connections of a dialer, beside
	// one chunk for each.
	shared = 4 << 20
	// chunk is the size of one buffer.
	chunk = 64 << 10

	// The kernel's buffer is emptied at these intervals while bytes wait, so
	// that the other end is never blocked. The short one is for connections
	// that bring much.
	longSlice  = 50 * time.Millisecond
	shortSlice = 10 * time.Millisecond
	// glance bounds a read of a connection that may have nothing.
	glance = time.Millisecond
)

// Dialer opens connections that are read in beats, unless somebody is in a
// hurry. It is safe for concurrent use.
type Dialer struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	clock clock
	pool  pool
	hurry hurry
	conns sync.Map // *Conn by ends, while they are open
}

// ends are the two addresses of a connection.
type ends struct{ local, remote string }

func endsOf(c net.Conn) ends { return ends{c.LocalAddr().String(), c.RemoteAddr().String()} }

// NewDialer returns a dialer of connections that dial opens.
func NewDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Dialer {
	return &Dialer{dial: dial, hurry: hurry{begun: make(chan struct{})}}
}

// Hurry lets everything be handed out as soon as it arrives, until the
// returned function is called.
func (d *Dialer) Hurry() (over func()) {
	d.hurry.begin()
	return sync.OnceFunc(d.hurry.end)
}

// DialContext opens a connection, which one goroutine at a time may read.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error is the other dialer's
	}
	paced := &Conn{Conn: c, dialer: d, socket: socketOf(c), buffer: buffer{pool: &d.pool}}
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

// hurry counts those who are in a hurry.
type hurry struct {
	mu    sync.Mutex // guards the fields below
	count int
	begun chan struct{} // closed while count is not zero
}

func (h *hurry) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count++; h.count == 1 {
		close(h.begun)
	}
}

func (h *hurry) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count--; h.count == 0 {
		h.begun = make(chan struct{})
	}
}

// wait waits, and reports whether nobody was in a hurry meanwhile.
func (h *hurry) wait(d time.Duration) bool {
	h.mu.Lock()
	begun := h.begun
	h.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-begun:
		return false
	case <-timer.C:
		return true
	}
}

// clock says when bytes are handed out: at each beat from the first bytes
// after silence on, and at the echo of each.
type clock struct {
	mu    sync.Mutex // guards the fields below
	first time.Time  // beat after the last silence
	last  time.Time  // when something was last handed out
}

// due returns how long bytes that are there now have to wait.
func (c *clock) due(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.last) >= Beat {
		return 0
	}
	phase := now.Sub(c.first) % Beat
	if phase < Echo {
		return Echo - phase
	}
	return Beat - phase
}

// handed notes that something is handed out.
func (c *clock) handed(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.last) >= Beat {
		c.first = now
	}
	c.last = now
}
