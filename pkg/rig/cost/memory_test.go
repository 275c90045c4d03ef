package cost_test

import (
	"context"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

var (
	pods  = flag.Int("pods", 400, "how many pods of 7 KB there are before the recorder is; make soak takes 20,000")
	churn = flag.Duration("churn", 10*time.Second, "for how long 100 writes a second follow; make soak takes an hour")
)

// mostResident is what the recorder may take once it has synced, in bytes. What a large sync took is given back within settling.
// Pages of the database that are mapped do not count: the kernel takes them back when it needs the room.
const (
	mostResident = 150e6
	settling     = 30 * time.Second
)

// TestMemoryStaysFlat lets a recorder sync a cluster full of pods, and churn follow: 100 writes a second, that create, update and
// delete others. It says what was resident when, and holds it to a bound.
func TestMemoryStaysFlat(t *testing.T) {
	const namespace = "memory"
	if _, err := cluster.Load(t.Context(), clustertest.Load{Namespace: namespace, Objects: *pods, Writers: 8}); err != nil {
		t.Fatal(err)
	}
	r := recordertest.New(t, program, cluster.Kubeconfig)
	r.Ready(t)
	recordertest.Eventually(t, "all pods are recorded", func() (bool, string) {
		n := r.Metric(t, "watchhistory_versions_recorded_total")
		return int(n) >= *pods, fmt.Sprint(n)
	})
	m := memory{recorder: r, began: time.Now()}
	m.sample(t)
	ctx, cancel := context.WithTimeout(t.Context(), *churn)
	defer cancel()
	driven := make(chan error, 1)
	go func() { driven <- drive(ctx, namespace) }()
	for ticks := time.NewTicker(max(*churn/60, time.Second)); ctx.Err() == nil; {
		select {
		case <-ticks.C:
			m.sample(t)
		case <-ctx.Done():
			ticks.Stop()
		}
	}
	if err := <-driven; err != nil {
		t.Error(err)
	}
	m.sample(t)
	t.Logf("%d versions of %d objects; resident at most %.0f MB without the database", int(r.Metric(t, "watchhistory_versions_recorded_total")), *pods, m.most/1e6)
	if m.most > mostResident {
		t.Errorf("%.0f MB were resident, want at most %.0f", m.most/1e6, mostResident/1e6)
	}
}

// drive churns until ctx is done.
func drive(ctx context.Context, namespace string) error {
	for ctx.Err() == nil {
		_, err := cluster.Load(ctx, clustertest.Load{Namespace: namespace, Objects: 200, Updates: 10, Writers: 8, Rate: 100, Delete: true})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// memory is what a recorder has resident, from time to time.
type memory struct {
	recorder *recordertest.Recorder
	began    time.Time
	most     float64 // bytes, once it has settled
}

func (m *memory) sample(t *testing.T) {
	t.Helper()
	all, database := m.recorder.Resident(t)
	now, since := float64(all-database), time.Since(m.began)
	if since >= min(settling, *churn/2) {
		m.most = max(m.most, now)
	}
	t.Logf("after %v: %.0f MB resident, and %.0f MB of the database; %.0f MB of heap in use, %d objects, %d versions", since.Round(time.Second),
		now/1e6, float64(database)/1e6, m.recorder.Metric(t, "go_memstats_heap_inuse_bytes")/1e6, int(m.recorder.Metric(t, "watchhistory_objects_alive")),
		int(m.recorder.Metric(t, "watchhistory_versions_recorded_total")))
}
