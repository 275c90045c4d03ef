package chaos_test

import (
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestCompaction_LosesOnlyVersionsWhileDown stops the recorder, creates,
// updates and deletes objects, compacts etcd, and restarts the API server,
// whose watch cache is then empty. So the recorder's checkpoints have expired.
func TestCompaction_LosesOnlyVersionsWhileDown(t *testing.T) {
	random := newRand(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "compacted")
	var blind []clustertest.Blind
	for range shortOrLong(1, 3) {
		kept, doomed := w.createObjects(t, 12), w.createObjects(t, 12)
		w.runLoad(t, round(), 1, func() { pause(random, 2*time.Second) })
		before := w.caughtUp(t, r)
		r.Kill(t)
		down := time.Now()
		w.changeWhileDown(t, kept, doomed)
		up := time.Now()
		r.Start(t)
		r.ready(t)
		blind = append(blind, clustertest.Blind{From: before, To: w.watching(t, r)})
		w.runLoad(t, round(), 1, func() {})
		checkInferredDeletions(t, r.events(t, w.namespace), doomed, down, up)
	}
	result := w.verify(t, r, blind...)
	if result.Unseen == 0 {
		t.Errorf("got %d versions that no watch could deliver, want some: nothing was compacted", result.Unseen)
	}
}

// createObjects creates n objects and keeps them.
func (w *scenario) createObjects(t *testing.T, n int) []clustertest.Write {
	t.Helper()
	writes, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: w.namespace, Kinds: []string{"configmaps", "secrets", "widgets"}, Objects: n, Writers: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.truth = append(w.truth, writes...)
	return writes
}

// changeWhileDown updates the kept objects, deletes the doomed ones, creates
// half of these again under their names, and runs a load. Then it compacts
// etcd.
func (w *scenario) changeWhileDown(t *testing.T, kept, doomed []clustertest.Write) {
	t.Helper()
	w.runLoad(t, round(), 1, func() {
		for _, o := range kept {
			w.update(t, w.update(t, o))
		}
		for i, o := range doomed {
			w.delete(t, o)
			if i%2 == 0 {
				w.update(t, w.recreate(t, o))
			}
		}
	})
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
}

// checkInferredDeletions checks that the deletions are recorded as inferred,
// with intervals that contain the time in which the recorder was down.
func checkInferredDeletions(t *testing.T, events []v1.Event, doomed []clustertest.Write, down, up time.Time) {
	t.Helper()
	deletions := map[string]v1.Event{}
	for _, e := range events {
		if e.Verb == "delete" {
			deletions[e.UID] = e
		}
	}
	for _, o := range doomed {
		switch e := deletions[o.UID]; {
		case e.UID == "":
			t.Errorf("%s %s: got no deletion, want one", o.Resource, o.Name)
		case e.Inferred == nil:
			t.Errorf("%s %s: got an observed deletion, want an inferred one", o.Resource, o.Name)
		case e.Inferred.Start.After(down) || e.Inferred.End.Before(up):
			t.Errorf("%s %s: got a deletion between %v and %v, want an interval that contains %v to %v",
				o.Resource, o.Name, e.Inferred.Start, e.Inferred.End, down, up)
		}
	}
}
