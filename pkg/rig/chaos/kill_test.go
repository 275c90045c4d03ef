package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// round is one load: 8 writers over all kinds, back to back. In its long form it is 5,000 writes.
func round() clustertest.Load {
	return clustertest.Load{Objects: form(40, 160), Updates: form(10, 29), Delete: true}
}

// rounds is how many loads there are at least.
func rounds() int { return form(1, 4) }

// TestARecorderThatIsKilledLosesNothing kills the recorder with SIGKILL while it starts, catches up, and records.
func TestARecorderThatIsKilledLosesNothing(t *testing.T) {
	random := chance(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newWorld(t, "killed")
	w.under(t, round(), rounds(), func() {
		for range form(5, 20) {
			pause(random, 2*time.Second)
			r.Kill(t)
			pause(random, time.Second/2)
			r.Start(t)
		}
		r.ready(t)
	})
	w.judge(t, r)
}
