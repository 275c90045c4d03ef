package chaos_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestAPIServer_KillLosesOnlyUnsentVersions kills the API server with SIGKILL.
// The watch cache of the new process starts with the state that it reads from
// etcd. So no watch can deliver the versions that were accepted before and not
// sent, nor those accepted until the recorder has listed.
func TestAPIServer_KillLosesOnlyUnsentVersions(t *testing.T) {
	random := newRand(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "restarted")
	var blind []clustertest.Blind
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(1, 5) {
			pause(random, 2*time.Second)
			before := w.caughtUp(t, r)
			if err := cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
				t.Fatal(err)
			}
			blind = append(blind, clustertest.Blind{From: before, To: w.watching(t, r)})
		}
	})
	w.verify(t, r, blind...)
}
