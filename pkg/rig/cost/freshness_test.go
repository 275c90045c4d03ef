package cost_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// BenchmarkFreshness updates an object while other writers update pods at a
// rate. After each update it queries the recorder until the answer contains the
// version. The time starts when the API server has accepted the write. In
// "silence" there are no other writers. An operation is one update.
func BenchmarkFreshness(b *testing.B) {
	r := recordertest.New(b, program, cluster.Kubeconfig)
	r.Ready(b)
	b.Run("silence", func(b *testing.B) { freshness(b, r, 700*time.Millisecond) })
	for _, rate := range rates() {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			stop := loaded(b, r, rate)
			defer stop()
			freshness(b, r, 0)
		})
	}
}

// loaded runs a load until stop is called.
func loaded(b *testing.B, r *recordertest.Recorder, rate int) (stop func()) {
	b.Helper()
	namespace := fmt.Sprint("fresh-", rate)
	ctx, cancel := context.WithCancel(b.Context())
	driven := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			_, err := cluster.Load(ctx,
				clustertest.Load{Namespace: namespace, Objects: 100, Updates: 1000, Writers: 8, Rate: float64(rate)})
			if err != nil && ctx.Err() == nil {
				driven <- err
				return
			}
		}
		driven <- nil
	}()
	recordertest.Eventually(b, "the load has begun", func() (bool, string) {
		page, err := r.Client.Events(b.Context(),
			client.EventsQuery{Namespace: history.NamespaceScope(namespace), Limit: 1, Summary: true})
		return err == nil && len(page.Events) > 0, fmt.Sprint(err)
	})
	return func() {
		cancel()
		if err := <-driven; err != nil {
			b.Error(err)
		}
	}
}

// freshness measures the delay of updates with at least this pause between two.
func freshness(b *testing.B, r *recordertest.Recorder, apart time.Duration) {
	b.Helper()
	const namespace = "default"
	maps := cluster.Client(b).CoreV1().ConfigMaps(namespace)
	probe, err := maps.Create(b.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}},
		metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var delays []time.Duration
	n, start, before := 0, time.Now(), r.Metric(b, "watchhistory_versions_recorded_total")
	for b.Loop() {
		n++
		patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n)
		now, err := maps.Patch(b.Context(), probe.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			b.Fatal(err)
		}
		delays = append(delays, answered(b, r, now))
		// Varies, to avoid being in phase with the recorder's commits.
		time.Sleep(apart + time.Duration(n%40)*time.Millisecond)
	}
	rate := (r.Metric(b, "watchhistory_versions_recorded_total") - before) / time.Since(start).Seconds()
	slices.Sort(delays)
	b.ReportMetric(float64(delays[len(delays)/2].Microseconds())/1e3, "ms-p50")
	b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds())/1e3, "ms-p99")
	b.ReportMetric(rate, "versions/s")
}

// answered queries the recorder until its answer contains this version. It
// returns how long that took.
func answered(b *testing.B, r *recordertest.Recorder, version *corev1.ConfigMap) time.Duration {
	b.Helper()
	start := time.Now()
	for time.Since(start) < recordertest.Patience {
		page, err := r.Client.Events(b.Context(), client.EventsQuery{
			UID: string(version.UID), Resources: []string{"configmaps"},
			Order: history.NewestFirst, Limit: 1, Summary: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Events) > 0 && page.Events[0].ResourceVersion == version.ResourceVersion {
			return time.Since(start)
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatalf("got no answer with version %s within %v", version.ResourceVersion, recordertest.Patience)
	return 0
}
