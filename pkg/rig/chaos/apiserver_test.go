package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestAnAPIServerThatIsKilledHidesOnlyWhatItHadNotSent kills the API server with SIGKILL. Its successor's watch cache begins
// with the state that it finds, so that what was accepted before, and not sent any more, is out of everybody's sight; so is
// what is accepted until the recorder has listed.
func TestAnAPIServerThatIsKilledHidesOnlyWhatItHadNotSent(t *testing.T) {
	random := chance(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newWorld(t, "restarted")
	var blind []clustertest.Blind
	w.under(t, round(), rounds(), func() {
		for range form(1, 5) {
			pause(random, 2*time.Second)
			before := w.caughtUp(t, r)
			if err := cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
				t.Fatal(err)
			}
			blind = append(blind, clustertest.Blind{From: before, To: w.backInSight(t, r)})
		}
	})
	w.judge(t, r, blind...)
}
