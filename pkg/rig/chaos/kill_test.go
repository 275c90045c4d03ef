package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// round returns the load of one round: 8 writers of all kinds, without pauses.
// The long form makes 5,000 writes.
func round() clustertest.Load {
	return clustertest.Load{Objects: shortOrLong(40, 160), Updates: shortOrLong(10, 29), Delete: true}
}

// rounds returns the least number of rounds.
func rounds() int { return shortOrLong(1, 4) }

// TestRecorder_KillLosesNothing kills the recorder with SIGKILL while it
// starts, catches up, and records.
func TestRecorder_KillLosesNothing(t *testing.T) {
	random := newRand(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "killed")
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(5, 20) {
			pause(random, 2*time.Second)
			r.Kill(t)
			pause(random, time.Second/2)
			r.Start(t)
		}
		r.ready(t)
	})
	w.verify(t, r)
}
