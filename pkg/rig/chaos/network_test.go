package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestConnectionsThatBreakLoseNothing cuts the recorder's connections, in an orderly way and with resets, and holds them up.
func TestConnectionsThatBreakLoseNothing(t *testing.T) {
	random := chance(t)
	p := newProxy(t)
	r := newRecorder(t, p.kubeconfig)
	w := newWorld(t, "cut")
	cut := 0
	w.under(t, round(), rounds(), func() {
		for range form(6, 40) {
			pause(random, time.Second)
			if random.IntN(3) > 0 {
				cut += p.cut(random.IntN(2) == 0)
				continue
			}
			release := p.hold()
			pause(random, 2*time.Second)
			if random.IntN(2) == 0 {
				cut += p.cut(random.IntN(2) == 0)
			}
			release()
		}
	})
	if cut == 0 {
		t.Error("no connection was cut")
	}
	w.judge(t, r)
}

// TestConnectionsThatAreLostAreGivenUp lets the recorder's connections stay open and silent for good, as a firewall does that
// forgets them.
func TestConnectionsThatAreLostAreGivenUp(t *testing.T) {
	random := chance(t)
	p := newProxy(t)
	r := newRecorder(t, p.kubeconfig)
	w := newWorld(t, "lost")
	w.under(t, clustertest.Load{Objects: 40, Updates: 10, Delete: true, Rate: 50}, 1, func() {
		for range form(1, 3) {
			pause(random, 2*time.Second)
			if p.lose() == 0 {
				t.Error("no connection was lost")
			}
			w.caughtUp(t, r)
		}
	})
	w.judge(t, r)
}
