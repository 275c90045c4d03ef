// Package coalesce delays the reads of busy connections, so that bytes are read
// together.
//
// A busy watch delivers an event every few milliseconds. Waking up for each
// event costs more CPU than processing it. So bytes that arrive within a window
// are released together, on all connections of a dialer at the same moments.
// The first bytes after silence are released at once.
//
// The package decides when bytes are released. Invariant: it releases all bytes
// unchanged and in their order.
//
// Decision 6 in docs/design has the measurements.
package coalesce

import (
	"context"
	"net"
	"sync"
	"time"
)

const (
	// Window is how long bytes wait at most. After a silence of that length,
	// bytes do not wait.
	Window = 200 * time.Millisecond
	// FollowUp is the time after the end of each window at which bytes are
	// released again. A reader that merges several streams then reads the bytes
	// that were late for the window.
	FollowUp = 40 * time.Millisecond

	// MaxBuffered bounds the bytes that wait on one connection. If there are
	// more, they are released early.
	MaxBuffered = 1 << 20
	// maxShared bounds the bytes that wait on all connections of a dialer,
	// apart from one chunk for each.
	maxShared = 4 << 20
	// chunkSize is the size of one piece of a buffer, in bytes.
	chunkSize = 64 << 10

	// While bytes wait, the kernel's buffer is emptied at these intervals, so
	// that the sender is never blocked. The short one is for connections with
	// many bytes.
	longSlice  = 50 * time.Millisecond
	shortSlice = 10 * time.Millisecond
	// pollTimeout bounds a read of a connection that may have no bytes.
	pollTimeout = time.Millisecond
)

// Dialer opens connections whose reads are coalesced, except during a call of
// [Dialer.Immediate]. It is safe for concurrent use.
type Dialer struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	schedule  schedule
	pool      chunkPool
	immediate immediate
	conns     sync.Map // open *Conn by endpoints
}

// endpoints are the two addresses of a connection.
type endpoints struct{ local, remote string }

// endpointsOf returns the addresses of a connection. A wrapper has those of the
// connection that it wraps.
func endpointsOf(c net.Conn) endpoints {
	return endpoints{c.LocalAddr().String(), c.RemoteAddr().String()}
}

// NewDialer returns a dialer that coalesces the reads of connections of dial.
func NewDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Dialer {
	return &Dialer{dial: dial, immediate: immediate{began: make(chan struct{})}}
}

// Immediate makes all connections release bytes as soon as they arrive, until
// release is called. Calls may overlap. release may be called more than once.
func (d *Dialer) Immediate() (release func()) {
	d.immediate.begin()
	return sync.OnceFunc(d.immediate.end)
}

// DialContext opens a connection. One goroutine at a time may read it.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error is the other dialer's
	}
	coalesced := &Conn{Conn: c, dialer: d, socket: socketOf(c), buffer: buffer{pool: &d.pool}}
	d.conns.Store(endpointsOf(c), coalesced)
	return coalesced, nil
}

// Find returns the open connection that another one, such as a TLS connection,
// wraps. It compares their addresses. It returns nil if there is none.
func (d *Dialer) Find(wrapper net.Conn) *Conn {
	found, _ := d.conns.Load(endpointsOf(wrapper))
	conn, _ := found.(*Conn)
	return conn
}

// immediate counts the calls of [Dialer.Immediate] that are not released.
type immediate struct {
	mu    sync.Mutex // guards the fields below
	count int
	began chan struct{} // closed while count is not zero
}

// begin counts a call, and wakes the connections that wait.
func (i *immediate) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count++; i.count == 1 {
		close(i.began)
	}
}

// end ends a call. After the last one, connections wait again.
func (i *immediate) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.count--; i.count == 0 {
		i.began = make(chan struct{})
	}
}

// wait waits for d. It returns false at once if the count is or becomes
// positive.
func (i *immediate) wait(d time.Duration) bool {
	i.mu.Lock()
	began := i.began
	i.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-began:
		return false
	case <-timer.C:
		return true
	}
}

// schedule has the moments at which bytes are released: at the end of each
// window since the last silence, and FollowUp later. It is safe for concurrent
// use.
type schedule struct {
	mu    sync.Mutex // guards the fields below
	first time.Time  // the first release after the last silence
	last  time.Time  // the last release
}

// delay returns how long bytes that are available now have to wait.
func (s *schedule) delay(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) >= Window {
		return 0
	}
	phase := now.Sub(s.first) % Window
	if phase < FollowUp {
		return FollowUp - phase
	}
	return Window - phase
}

// released notes that bytes are released.
func (s *schedule) released(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) >= Window {
		s.first = now
	}
	s.last = now
}
