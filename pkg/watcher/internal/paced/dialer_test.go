package paced_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/paced"
)

// reads lets a server write at the given moments, and returns when each write was read.
func reads(t *testing.T, hurry bool, moments ...time.Duration) (read []time.Duration) {
	t.Helper()
	near, far := net.Pipe()
	d := paced.NewDialer(func(context.Context, string, string) (net.Conn, error) { return near, nil })
	if hurry {
		d.Hurry()
	}
	conn, err := d.DialContext(t.Context(), "tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	go func() {
		defer far.Close()
		for _, at := range moments {
			time.Sleep(at - time.Since(began))
			_, _ = far.Write([]byte("x"))
		}
	}()
	for range moments {
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		read = append(read, time.Since(began))
	}
	return read
}

func TestWhatComesSoonAfterwardsIsReadInBeats(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name          string
		hurry         bool
		moments, want []time.Duration
	}{
		{"after a silence, at once", false, []time.Duration{100 * ms, 300 * ms}, []time.Duration{100 * ms, 300 * ms}},
		{"within a beat, at its end", false, []time.Duration{100 * ms, 110 * ms}, []time.Duration{100 * ms, 100*ms + paced.Beat}},
		{"in a hurry, at once", true, []time.Duration{100 * ms, 110 * ms}, []time.Duration{100 * ms, 110 * ms}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := reads(t, tc.hurry, tc.moments...)
				for i := range got {
					if got[i] != tc.want[i] {
						t.Errorf("what was written at %v was read at %v, want %v", tc.moments[i], got[i], tc.want[i])
					}
				}
			})
		})
	}
}

// A stream that fills what is read at once is not waited for: there is more.
func TestAStreamIsReadAsItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		d := paced.NewDialer(func(context.Context, string, string) (net.Conn, error) { return near, nil })
		conn, err := d.DialContext(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		sent := make([]byte, 20*paced.Ahead)
		for i := range sent {
			sent[i] = byte(i / 251)
		}
		go func() {
			_, _ = far.Write(sent)
			_ = far.Close()
		}()
		began := time.Now()
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != string(sent) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(sent), err)
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited for %v", waited)
		}
		_ = conn.Close()
	})
}
