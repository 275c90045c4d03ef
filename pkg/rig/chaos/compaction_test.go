package chaos_test

import (
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestACompactionHidesOnlyWhatHappenedWhileTheRecorderWasDown takes the recorder away, lets objects come, change and go,
// compacts etcd, and empties the API server's watch cache: the recorder's checkpoints are too old for anybody then.
func TestACompactionHidesOnlyWhatHappenedWhileTheRecorderWasDown(t *testing.T) {
	random := chance(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newWorld(t, "compacted")
	var blind []clustertest.Blind
	for range form(1, 3) {
		kept, doomed := w.settle(t, 12), w.settle(t, 12)
		w.under(t, round(), 1, func() { pause(random, 2*time.Second) })
		before := w.caughtUp(t, r)
		r.Kill(t)
		down := time.Now()
		w.changeUnseen(t, kept, doomed)
		up := time.Now()
		r.Start(t)
		r.ready(t)
		blind = append(blind, clustertest.Blind{From: before, To: w.backInSight(t, r)})
		w.under(t, round(), 1, func() {})
		deletionsAreInferred(t, r.events(t, w.namespace), doomed, down, up)
	}
	result := w.judge(t, r, blind...)
	if result.Unseen == 0 {
		t.Error("every version is there: nothing was compacted")
	}
}

// settle makes objects that stay.
func (w *world) settle(t *testing.T, n int) []clustertest.Write {
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

// changeUnseen updates what is kept, deletes what is doomed, makes half of that anew under the old names, lets a load pass,
// and drops the history of it all.
func (w *world) changeUnseen(t *testing.T, kept, doomed []clustertest.Write) {
	t.Helper()
	w.under(t, round(), 1, func() {
		for _, o := range kept {
			w.touch(t, w.touch(t, o))
		}
		for i, o := range doomed {
			w.remove(t, o)
			if i%2 == 0 {
				w.touch(t, w.create(t, o))
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

// deletionsAreInferred wants the deletions in the log, marked, and between when the recorder went and when it was back.
func deletionsAreInferred(t *testing.T, events []v1.Event, doomed []clustertest.Write, down, up time.Time) {
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
			t.Errorf("%s %s is gone, and nobody says so", o.Resource, o.Name)
		case e.Inferred == nil:
			t.Errorf("the deletion of %s %s is said to have been seen", o.Resource, o.Name)
		case e.Inferred.Start.After(down) || e.Inferred.End.Before(up):
			t.Errorf("%s %s was deleted between %v and %v, and is said to have been between %v and %v",
				o.Resource, o.Name, down, up, e.Inferred.Start, e.Inferred.End)
		}
	}
}
