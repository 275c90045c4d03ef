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
	"k8s.io/client-go/kubernetes"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/clustertest"
	"github.com/watchhistory/watchhistory/pkg/internal/recordertest"
)

// BenchmarkFreshness writes to an object beside 300 other writes a second, and asks the recorder over REST until it answers with
// that version. The time is from when the API server has accepted the write, which is when its watchers may see it first. An
// operation is one such write; -benchtime 1000x takes a minute.
func BenchmarkFreshness(b *testing.B) {
	define(b)
	r := recordertest.New(b, program, cluster.Kubeconfig)
	r.Ready(b, "widgets")
	kube, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		b.Fatal(err)
	}
	const namespace = "fresh"
	ctx, cancel := context.WithCancel(b.Context())
	driven := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			_, err := cluster.Load(ctx, clustertest.Load{
				Namespace: namespace, Kinds: kinds(), Objects: 100, Updates: 1000, Writers: 8, Rate: 300,
			})
			if err != nil && ctx.Err() == nil {
				driven <- err
				return
			}
		}
		driven <- nil
	}()
	defer func() {
		cancel()
		if err := <-driven; err != nil {
			b.Error(err)
		}
	}()
	recordertest.Eventually(b, "the load has begun", func() (bool, string) {
		page, err := r.Client.Events(b.Context(), client.EventsQuery{Namespace: namespace, Limit: 1, Summary: true})
		return err == nil && len(page.Events) > 0, fmt.Sprint(err)
	})
	maps := kube.CoreV1().ConfigMaps(namespace)
	probe, err := maps.Create(b.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"}}, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var late []time.Duration
	n, began, had := 0, time.Now(), r.Metric(b, "watchhistory_versions_recorded_total")
	for b.Loop() {
		n++
		patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n)
		now, err := maps.Patch(b.Context(), probe.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			b.Fatal(err)
		}
		late = append(late, answered(b, r, now))
		time.Sleep(time.Duration(n%40) * time.Millisecond) // not in step with anything
	}
	rate := (r.Metric(b, "watchhistory_versions_recorded_total") - had) / time.Since(began).Seconds()
	slices.Sort(late)
	b.ReportMetric(float64(late[len(late)/2].Microseconds())/1e3, "ms-p50")
	b.ReportMetric(float64(late[len(late)*99/100].Microseconds())/1e3, "ms-p99")
	b.ReportMetric(rate, "versions/s")
}

// answered asks until the recorder answers with this version, and returns how long that took.
func answered(b *testing.B, r *recordertest.Recorder, version *corev1.ConfigMap) time.Duration {
	b.Helper()
	began := time.Now()
	for time.Since(began) < recordertest.Patience {
		page, err := r.Client.Events(b.Context(), client.EventsQuery{
			UID: string(version.UID), Resources: []string{"configmaps"}, Order: history.NewestFirst, Limit: 1, Summary: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		if len(page.Events) > 0 && page.Events[0].ResourceVersion == version.ResourceVersion {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	b.Fatalf("version %s is not answered", version.ResourceVersion)
	return 0
}
