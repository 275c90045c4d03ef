package cost_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// meter is a process that records and knows what it has cost so far.
type meter interface {
	// read returns the CPU time, user and system, since the process began, and how many versions it has stored.
	read(tb testing.TB) (cpu time.Duration, versions int)
}

// rates are the writes a second that costs are measured at.
func rates() []int { return []int{100, 300, 1000} }

// BenchmarkLoad drives 8 writers that update pods of 7 KB at a rate, and
// reports the CPU that a version costs: of the recorder, of one that is built
// on informers and gets the same load right after it, and how many times more
// that is. An operation is ten seconds of load.
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

// define makes the load's custom resource, so that it is watched from the beginning.
func define(tb testing.TB) {
	tb.Helper()
	load := clustertest.Load{Namespace: "define", Kinds: []string{"widgets"}, Objects: 1, Writers: 1, Delete: true}
	if _, err := cluster.Load(tb.Context(), load); err != nil {
		tb.Fatal(err)
	}
}

// underLoad returns the milliseconds of CPU that a version cost.
func underLoad(b *testing.B, m meter, rate int) float64 {
	b.Helper()
	const seconds, objects = 10, 100
	before, had := m.read(b)
	writes, began := 0, time.Now()
	for b.Loop() {
		truth, err := cluster.Load(b.Context(), clustertest.Load{
			Namespace: "cost", Objects: objects, Updates: rate*seconds/objects - 3, Writers: 8, Rate: float64(rate), Delete: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		writes += len(truth)
	}
	took := time.Since(began)
	var cpu time.Duration
	var n int
	recordertest.Eventually(b, "as many versions as writes", func() (bool, string) {
		now, has := m.read(b)
		cpu, n = now-before, has-had
		return n >= writes, fmt.Sprintf("%d of %d", n, writes)
	})
	perVersion := cpu.Seconds() * 1e3 / float64(n)
	b.ReportMetric(perVersion, "ms-cpu/version")
	b.ReportMetric(float64(n)/took.Seconds(), "versions/s")
	return perVersion
}

// recorded is the recorder as a meter.
type recorded struct{ *recordertest.Recorder }

func (r recorded) read(tb testing.TB) (time.Duration, int) {
	tb.Helper()
	cpu := r.Metric(tb, "process_cpu_seconds_total")
	return time.Duration(cpu * float64(time.Second)), int(r.Metric(tb, "watchhistory_versions_recorded_total"))
}
