package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestNetwork_BrokenConnectionsLoseNothing closes the recorder's connections,
// with and without resets, and blocks them for a while.
func TestNetwork_BrokenConnectionsLoseNothing(t *testing.T) {
	random := newRand(t)
	p := newProxy(t)
	r := newRecorder(t, p.kubeconfig)
	w := newScenario(t, "cut")
	cut := 0
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(6, 40) {
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
		t.Errorf("got %d closed connections, want some", cut)
	}
	w.verify(t, r)
}

// TestNetwork_DeadConnectionsAreReplaced drops everything that open connections
// carry, and leaves them open, as a firewall does that lost their state.
func TestNetwork_DeadConnectionsAreReplaced(t *testing.T) {
	random := newRand(t)
	p := newProxy(t)
	r := newRecorder(t, p.kubeconfig)
	w := newScenario(t, "lost")
	w.runLoad(t, clustertest.Load{Objects: 40, Updates: 10, Delete: true, Rate: 50}, 1, func() {
		for range shortOrLong(1, 3) {
			pause(random, 2*time.Second)
			if n := p.lose(); n == 0 {
				t.Errorf("got %d dead connections, want some", n)
			}
			w.caughtUp(t, r)
		}
	})
	w.verify(t, r)
}
