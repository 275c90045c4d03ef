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

// connect returns a paced connection and its other end.
func connect(t *testing.T, d func(*coalesce.Dialer)) (near, far net.Conn) {
	t.Helper()
	return connections(t, 1, d)[0].ends()
}

type pair struct{ near, far net.Conn }

func (p pair) ends() (near, far net.Conn) { return p.near, p.far }

// connections returns paced connections of one dialer, which end with the
// test.
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

func unhurried(*coalesce.Dialer) {}

// write lets the other end write a byte at each of the moments.
func write(far net.Conn, moments []time.Duration) {
	began := time.Now()
	for _, at := range moments {
		time.Sleep(at - time.Since(began))
		_, _ = far.Write([]byte("x"))
	}
}

// reads returns when a byte is read, for each one of this number.
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

func TestConn_IsReadInBeats(t *testing.T) {
	const at, beat, echo = 1000 * ms, coalesce.Window, coalesce.FollowUp
	for _, tc := range []struct {
		name          string
		hurry         bool
		moments, want []time.Duration
	}{
		{"after silence, at once", false, []time.Duration{at, 3 * at}, []time.Duration{at, 3 * at}},
		{"just after a beat, at its echo", false, []time.Duration{at, at + 10*ms}, []time.Duration{at, at + echo}},
		{
			"after the echo, at the next beat", false,
			[]time.Duration{at, at + 60*ms, at + 150*ms},
			[]time.Duration{at, at + beat, at + beat},
		},
		{
			"in many beats, at those", false,
			[]time.Duration{at, at + 190*ms, at + 210*ms, at + 390*ms, at + 399*ms},
			[]time.Duration{at, at + beat, at + beat + echo, at + 2*beat, at + 2*beat},
		},
		{"in a hurry, at once", true, []time.Duration{at, at + 10*ms}, []time.Duration{at, at + 10*ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := connect(t, func(d *coalesce.Dialer) {
					if tc.hurry {
						d.Immediate()
					}
				})
				go write(far, tc.moments)
				if got := reads(t, near, len(tc.want)); !slices.Equal(got, tc.want) {
					t.Errorf("what was written at %v was read at %v, want %v", tc.moments, got, tc.want)
				}
			})
		})
	}
}

// TestConn_SharesBeats checks that a stream does not overtake another one only
// because it has a connection of its own.
func TestConn_SharesBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connections(t, 2, unhurried)
		go write(c[0].far, []time.Duration{1000 * ms, 1070 * ms})
		go write(c[1].far, []time.Duration{1060 * ms})
		first := make(chan []time.Duration)
		go func() { first <- reads(t, c[0].near, 2) }()
		second := reads(t, c[1].near, 1)
		if got, want := (<-first)[1], second[0]; got != want || got != 1200*ms {
			t.Errorf("the connections were read at %v and %v, want both at 1.2s", got, want)
		}
	})
}

// TestHurry_EndsBeats checks that bytes that wait are handed out when somebody
// begins to be in a hurry.
func TestHurry_EndsBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialer *coalesce.Dialer
		near, far := connect(t, func(d *coalesce.Dialer) { dialer = d })
		go write(far, []time.Duration{1000 * ms, 1050 * ms})
		time.AfterFunc(1060*ms, func() { dialer.Immediate() })
		want := []time.Duration{1000 * ms, 1060 * ms}
		if got := reads(t, near, 2); !slices.Equal(got, want) {
			t.Errorf("read at %v, want %v", got, want)
		}
	})
}

// TestConn_HandsOutEverything lets random pieces come at random moments.
func TestConn_HandsOutEverything(t *testing.T) {
	for range 20 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		synctest.Test(t, func(t *testing.T) {
			near, far := connect(t, unhurried)
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
				t.Errorf("seed %d: got %d bytes, %v, want the %d that were sent", seed, len(got), err, len(sent))
			}
		})
	}
}

// TestConn_IsReadAsItArrivesIfItBringsMuch checks that a stream that always
// has more is not slowed down.
func TestConn_IsReadAsItArrivesIfItBringsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := connect(t, unhurried)
		const size = 20 * coalesce.MaxBuffered
		go func() {
			_, _ = far.Write(make([]byte, size))
			_ = far.Close()
		}()
		began := time.Now()
		n, err := io.Copy(io.Discard, near)
		if err != nil || n != size {
			t.Fatalf("got %d bytes, %v, want %d", n, err, size)
		}
		if waited, most := time.Since(began), 20*10*ms; waited > most {
			t.Errorf("%d bytes took %v, want at most %v", size, waited, most)
		}
	})
}

// TestDialer_BoundsWhatWaits lets many connections bring much that nobody
// takes. What they hold is bounded, and is free again when they are closed.
func TestDialer_BoundsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, chunk, shared = 50, 64 << 10, 4 << 20
		all := connections(t, 2*many, unhurried)
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
				t.Errorf("%d connections hold %d bytes, want %d to %d", many, got, least, most)
			}
			for _, c := range half {
				_, _ = c.near.Close(), c.far.Close()
			}
		}
	})
}

// TestConn_KeepsTheDeadlineOfItsOwner checks that pacing gives way to it.
func TestConn_KeepsTheDeadlineOfItsOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := connect(t, unhurried)
		go write(far, []time.Duration{1000 * ms, 1010 * ms})
		began := time.Now()
		if err := near.SetReadDeadline(began.Add(1500 * ms)); err != nil {
			t.Fatal(err)
		}
		if got, want := reads(t, near, 2), []time.Duration{1000 * ms, 1010 * ms}; !slices.Equal(got, want) {
			t.Errorf("read at %v, want %v", got, want)
		}
		_, err := near.Read(make([]byte, 1))
		if failed, ok := err.(net.Error); !ok || !failed.Timeout() || time.Since(began) != 1500*ms { //nolint:errorlint // as its owner sees it
			t.Errorf("got %v after %v, want a timeout after 1.5s", err, time.Since(began))
		}
	})
}
