package coalesce_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/coalesce"
)

// sockets returns a coalesced TCP connection, the connection that it wraps, and
// its other end. They are closed when the test ends.
func sockets(t *testing.T) (near net.Conn, below, far *net.TCPConn) {
	t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialer := coalesce.NewDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		below, _ = c.(*net.TCPConn)
		return c, err
	})
	near, err = dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, below, far
}

// lowWater returns how many bytes the kernel collects before it wakes a reader.
func lowWater(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// The kernel may wake the reader only after silence, and then at the first
// byte.
func TestSocket_SuppressesWakeupsDuringAWindow(t *testing.T) {
	near, below, far := sockets(t)
	for range 5 {
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(near, make([]byte, 1))
			read <- err
		}()
		for deadline := time.Now().Add(30 * time.Second); lowWater(t, below) != 1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("low-water mark after silence: got %d bytes, want 1", lowWater(t, below))
			}
		}
		if _, err := far.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil { // the time limit of the test ends it if it was never woken
			t.Fatal(err)
		}
		if got, least := lowWater(t, below), 64<<10; got < least {
			t.Errorf("low-water mark during a window: got %d bytes, want at least %d", got, least)
		}
	}
}

// Random pieces arrive at random moments.
func TestSocket_ReleasesAllBytes(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	near, _, far := sockets(t)
	sent := make([]byte, 3*coalesce.MaxBuffered)
	for i := range sent {
		sent[i] = byte(i / 251)
	}
	go func() {
		for rest := sent; len(rest) > 0; {
			n := min(1+random.IntN(200<<10)>>random.IntN(18), len(rest))
			_, _ = far.Write(rest[:n])
			rest = rest[n:]
			if random.IntN(20) == 0 {
				time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
			}
		}
		_ = far.Close()
	}()
	got, err := io.ReadAll(near)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("seed %d: got %d bytes and %v, want the %d that were sent", seed, len(got), err, len(sent))
	}
}

// A reset is not the end of the stream.
func TestSocket_ReturnsTheErrorOfAReset(t *testing.T) {
	near, _, far := sockets(t)
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(near)
		read <- err
	}()
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := far.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := far.Close(); err != nil {
		t.Fatal(err)
	}
	err := <-read
	if failed := (*net.OpError)(nil); !errors.As(err, &failed) || !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("got %v, want a *net.OpError with %v", err, unix.ECONNRESET)
	}
}
