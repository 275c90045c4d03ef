package cost_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// meter measures a process that records.
type meter interface {
	// read returns the CPU time, user and system, since the process started,
	// and the number of versions that it has stored.
	read(tb testing.TB) (cpu time.Duration, versions int)
}

// rates returns the rates of the loads, in writes per second.
func rates() []int { return []int{100, 300, 1000} }

// BenchmarkLoad runs 8 writers that update pods of 7 KB at a rate, and reports
// the CPU time per version. It does so for the recorder, and then for a
// recorder built on informers, and reports the ratio. An operation is ten
// seconds of load.
func BenchmarkLoad(b *testing.B) {
	define(b)
	for _, rate := range rates() {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			var ours, theirs float64
			b.Run("recorder", func(b *testing.B) {
				r := recordertest.New(b, program, cluster.Kubeconfig)
				r.Ready(b, "widgets")
				ours = underLoad(b, recorded{r}, rate)
				b.ReportMetric(r.Metric(b, "process_resident_memory_bytes")/1e6, "MB-resident")
			})
			b.Run("informer", func(b *testing.B) {
				theirs = underLoad(b, newInformer(b), rate)
				if ours > 0 {
					b.ReportMetric(theirs/ours, "times-the-recorder")
				}
			})
		})
	}
}

// define creates the load's custom resource, so that it is watched from the
// start.
func define(tb testing.TB) {
	tb.Helper()
	load := clustertest.Load{Namespace: "define", Kinds: []string{"widgets"}, Objects: 1, Writers: 1, Delete: true}
	if _, err := cluster.Load(tb.Context(), load); err != nil {
		tb.Fatal(err)
	}
}

// underLoad runs the load and returns the CPU time per version, in
// milliseconds.
func underLoad(b *testing.B, m meter, rate int) float64 {
	b.Helper()
	const seconds, objects = 10, 100
	cpuBefore, versionsBefore := m.read(b)
	writes, start := 0, time.Now()
	for b.Loop() {
		truth, err := cluster.Load(b.Context(), clustertest.Load{
			Namespace: "cost", Objects: objects, Updates: rate*seconds/objects - 3,
			Writers: 8, Rate: float64(rate), Delete: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		writes += len(truth)
	}
	elapsed := time.Since(start)
	var cpu time.Duration
	var n int
	recordertest.Eventually(b, "as many versions as writes", func() (bool, string) {
		now, stored := m.read(b)
		cpu, n = now-cpuBefore, stored-versionsBefore
		return n >= writes, fmt.Sprintf("got %d, want %d", n, writes)
	})
	perVersion := cpu.Seconds() * 1e3 / float64(n)
	b.ReportMetric(perVersion, "ms-cpu/version")
	b.ReportMetric(float64(n)/elapsed.Seconds(), "versions/s")
	return perVersion
}

// recorded is a meter of a recorder.
type recorded struct{ *recordertest.Recorder }

// read implements meter.
func (r recorded) read(tb testing.TB) (time.Duration, int) {
	tb.Helper()
	cpu := r.Metric(tb, "process_cpu_seconds_total")
	return time.Duration(cpu * float64(time.Second)), int(r.Metric(tb, "watchhistory_versions_recorded_total"))
}
