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
	pods  = flag.Int("pods", 400, "number of pods of 7 KB before the recorder starts; make soak uses 20,000")
	churn = flag.Duration("churn", 10*time.Second, "duration of the churn, at 100 writes per second; make soak uses 1h")
)

const (
	// maxResident limits the resident memory after the first list, in bytes.
	// Mapped pages of the database do not count: the kernel can reclaim them.
	maxResident = 150e6
	// settleTime is the time within which the memory of a large list is
	// returned.
	settleTime = 30 * time.Second
)

// TestMemory_StaysFlatDuringChurn starts a recorder on a cluster with many
// pods. Then 100 writes per second create, update and delete others. The test
// logs the resident memory over time and limits it.
func TestMemory_StaysFlatDuringChurn(t *testing.T) {
	const namespace = "memory"
	_, err := cluster.Load(t.Context(), clustertest.Load{Namespace: namespace, Objects: *pods, Writers: 8})
	if err != nil {
		t.Fatal(err)
	}
	r := recordertest.New(t, program, cluster.Kubeconfig)
	r.Ready(t)
	recordertest.Eventually(t, "all pods are recorded", func() (bool, string) {
		n := r.Metric(t, "watchhistory_versions_recorded_total")
		return int(n) >= *pods, fmt.Sprint(n)
	})
	m := memory{recorder: r, start: time.Now()}
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
	t.Logf("%d versions of %d objects; resident at most %.0f MB without the database",
		int(r.Metric(t, "watchhistory_versions_recorded_total")), *pods, m.most/1e6)
	if m.most > maxResident {
		t.Errorf("got %.0f MB resident, want at most %.0f", m.most/1e6, maxResident/1e6)
	}
}

// drive runs the churn until ctx ends.
func drive(ctx context.Context, namespace string) error {
	for ctx.Err() == nil {
		_, err := cluster.Load(ctx,
			clustertest.Load{Namespace: namespace, Objects: 200, Updates: 10, Writers: 8, Rate: 100, Delete: true})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// memory samples the resident memory of a recorder.
type memory struct {
	recorder *recordertest.Recorder
	start    time.Time
	most     float64 // bytes, after settleTime
}

// sample logs the resident memory and updates the maximum.
func (m *memory) sample(t *testing.T) {
	t.Helper()
	all, database := m.recorder.Resident(t)
	now, since := float64(all-database), time.Since(m.start)
	if since >= min(settleTime, *churn/2) {
		m.most = max(m.most, now)
	}
	t.Logf("after %v: %.0f MB resident, and %.0f MB of the database; %.0f MB of heap in use, %d objects, %d versions",
		since.Round(time.Second), now/1e6, float64(database)/1e6,
		m.recorder.Metric(t, "go_memstats_heap_inuse_bytes")/1e6,
		int(m.recorder.Metric(t, "watchhistory_objects_alive")),
		int(m.recorder.Metric(t, "watchhistory_versions_recorded_total")))
}
