package coalesce_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/coalesce"
)

const ms = time.Millisecond

// connect returns a coalesced connection and its other end.
func connect(t *testing.T, d func(*coalesce.Dialer)) (near, far net.Conn) {
	t.Helper()
	return connections(t, 1, d)[0].ends()
}

type pair struct{ near, far net.Conn }

func (p pair) ends() (near, far net.Conn) { return p.near, p.far }

// connections returns coalesced connections of one dialer. They are closed when
// the test ends.
func connections(t *testing.T, n int, change func(*coalesce.Dialer)) (all []pair) {
	t.Helper()
	var inner net.Conn
	d := coalesce.NewDialer(func(context.Context, string, string) (net.Conn, error) { return inner, nil })
	change(d)
	for range n {
		var far net.Conn
		inner, far = net.Pipe()
		near, err := d.DialContext(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pair{near, far})
		t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	}
	return all
}

// coalescing is a dialer whose reads are coalesced.
func coalescing(*coalesce.Dialer) {}

// write writes a byte to the other end at each of these moments.
func write(far net.Conn, moments []time.Duration) {
	began := time.Now()
	for _, at := range moments {
		time.Sleep(at - time.Since(began))
		_, _ = far.Write([]byte("x"))
	}
}

// reads reads n bytes, and returns when each of them was read.
func reads(t *testing.T, near net.Conn, n int) (read []time.Duration) {
	t.Helper()
	began := time.Now()
	for range n {
		if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		read = append(read, time.Since(began))
	}
	return read
}

func TestConn_ReleasesBytesInWindows(t *testing.T) {
	const at, window, followUp = 1000 * ms, coalesce.Window, coalesce.FollowUp
	for _, tc := range []struct {
		name          string
		immediate     bool
		moments, want []time.Duration
	}{
		{"after silence, at once", false, []time.Duration{at, 3 * at}, []time.Duration{at, 3 * at}},
		{
			"just after a window, at its follow-up", false,
			[]time.Duration{at, at + 10*ms},
			[]time.Duration{at, at + followUp},
		},
		{
			"after the follow-up, at the next window", false,
			[]time.Duration{at, at + 60*ms, at + 150*ms},
			[]time.Duration{at, at + window, at + window},
		},
		{
			"in many windows, at each of them", false,
			[]time.Duration{at, at + 190*ms, at + 210*ms, at + 390*ms, at + 399*ms},
			[]time.Duration{at, at + window, at + window + followUp, at + 2*window, at + 2*window},
		},
		{"immediately, at once", true, []time.Duration{at, at + 10*ms}, []time.Duration{at, at + 10*ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := connect(t, func(d *coalesce.Dialer) {
					if tc.immediate {
						d.Immediate()
					}
				})
				go write(far, tc.moments)
				if got := reads(t, near, len(tc.want)); !slices.Equal(got, tc.want) {
					t.Errorf("bytes written at %v: got them at %v, want %v", tc.moments, got, tc.want)
				}
			})
		})
	}
}

// A stream must not overtake another one because it has its own connection.
func TestConn_SharesWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connections(t, 2, coalescing)
		go write(c[0].far, []time.Duration{1000 * ms, 1070 * ms})
		go write(c[1].far, []time.Duration{1060 * ms})
		first := make(chan []time.Duration)
		go func() { first <- reads(t, c[0].near, 2) }()
		second := reads(t, c[1].near, 1)
		if got, want := (<-first)[1], second[0]; got != want || got != 1200*ms {
			t.Errorf("reads of the connections: got them at %v and %v, want both at 1.2s", got, want)
		}
	})
}

func TestImmediate_ReleasesWaitingBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialer *coalesce.Dialer
		near, far := connect(t, func(d *coalesce.Dialer) { dialer = d })
		go write(far, []time.Duration{1000 * ms, 1050 * ms})
		time.AfterFunc(1060*ms, func() { dialer.Immediate() })
		want := []time.Duration{1000 * ms, 1060 * ms}
		if got := reads(t, near, 2); !slices.Equal(got, want) {
			t.Errorf("reads: got them at %v, want %v", got, want)
		}
	})
}

// Random pieces arrive at random moments.
func TestConn_ReleasesAllBytes(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		synctest.Test(t, func(t *testing.T) {
			near, far := connect(t, coalescing)
			sent := make([]byte, random.IntN(5*coalesce.MaxBuffered))
			for i := range sent {
				sent[i] = byte(i / 251)
			}
			go func() {
				for rest := sent; len(rest) > 0; {
					n := min(1+random.IntN(300<<10), len(rest))
					_, _ = far.Write(rest[:n])
					rest = rest[n:]
					time.Sleep(time.Duration(random.IntN(3)*random.IntN(100)) * ms)
				}
				_ = far.Close()
			}()
			got, err := io.ReadAll(near)
			if err != nil || string(got) != string(sent) {
				t.Errorf("seed %d: got %d bytes and %v, want the %d that were sent", seed, len(got), err, len(sent))
			}
		})
	}
}

// A stream that always has more bytes is not slowed down.
func TestConn_ReadsBusyStreamsAtFullSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := connect(t, coalescing)
		const size = 20 * coalesce.MaxBuffered
		go func() {
			_, _ = far.Write(make([]byte, size))
			_ = far.Close()
		}()
		began := time.Now()
		n, err := io.Copy(io.Discard, near)
		if err != nil || n != size {
			t.Fatalf("got %d bytes and %v, want %d", n, err, size)
		}
		if waited, most := time.Since(began), 20*10*ms; waited > most {
			t.Errorf("time for %d bytes: got %v, want at most %v", size, waited, most)
		}
	})
}

// Many connections receive bytes that are not read. Their memory is bounded,
// and is reused after they are closed.
func TestDialer_BoundsBufferedBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, chunk, shared = 50, 64 << 10, 4 << 20
		all := connections(t, 2*many, coalescing)
		for _, half := range [][]pair{all[:many], all[many:]} {
			var held atomic.Int64
			for _, c := range half {
				go func() {
					for piece := make([]byte, chunk); ; held.Add(int64(len(piece))) {
						if _, err := c.far.Write(piece); err != nil {
							return
						}
					}
				}()
				go func() { _, _ = io.ReadFull(c.near, make([]byte, 2)) }()
			}
			time.Sleep(time.Second)
			if got, least, most := held.Load(), int64(shared), int64(shared+many*chunk); got < least || got > most {
				t.Errorf("bytes held by %d connections: got %d, want %d to %d", many, got, least, most)
			}
			for _, c := range half {
				_, _ = c.near.Close(), c.far.Close()
			}
		}
	})
}

// A connection with a deadline is not coalesced.
func TestConn_KeepsTheDeadlineOfItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := connect(t, coalescing)
		go write(far, []time.Duration{1000 * ms, 1010 * ms})
		began := time.Now()
		if err := near.SetReadDeadline(began.Add(1500 * ms)); err != nil {
			t.Fatal(err)
		}
		if got, want := reads(t, near, 2), []time.Duration{1000 * ms, 1010 * ms}; !slices.Equal(got, want) {
			t.Errorf("reads: got them at %v, want %v", got, want)
		}
		_, err := near.Read(make([]byte, 1))
		if failed, ok := err.(net.Error); !ok || !failed.Timeout() || time.Since(began) != 1500*ms { //nolint:errorlint // as the owner receives it
			t.Errorf("got %v after %v, want a timeout after 1.5s", err, time.Since(began))
		}
	})
}
