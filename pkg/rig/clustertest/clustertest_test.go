package clustertest_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestStop_RemovesCluster(t *testing.T) {
	cluster, err := clustertest.Start(t.Context(), clustertest.Options{Nodes: 1})
	if err != nil {
		t.Fatal(err)
	}
	version, err := cluster.Client(t).Discovery().ServerVersion()
	if err != nil || version.GitVersion != "v1.37.2" {
		t.Errorf("got server version %v, error %v, want v1.37.2", version, err)
	}
	if out, err := cluster.Kubectl(t.Context(), "get", "nodes", "-o", "name"); err != nil || out != "node/node-1\n" {
		t.Errorf("kubectl get nodes: got %q, error %v, want node/node-1", out, err)
	}
	if err := cluster.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cluster.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("directory after Stop: got error %v, want none to exist", err)
	}
	if _, err := cluster.Client(t).Discovery().ServerVersion(); err == nil {
		t.Error("API server after Stop: got an answer, want an error")
	}
}

func TestLoad_ReturnsAcceptedWrites(t *testing.T) {
	defer goleak.VerifyNone(t)
	cluster, err := clustertest.Start(t.Context(), clustertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t) // a running cluster has no goroutine in this process
	writes, err := cluster.Load(t.Context(), clustertest.Load{
		Kinds: []string{"configmaps", "widgets"}, Objects: 4, Updates: 3, Writers: 2, Delete: true,
	})
	if err != nil {
		t.Error(err)
	}
	counts := map[string]int{}
	for _, w := range writes {
		counts[w.Resource+" "+w.Verb]++
		if (w.ResourceVersion == "") != (w.Verb == "delete") || w.UID == "" || w.Namespace != "load" {
			t.Errorf("got %+v, want all fields, and a resourceVersion unless it is a delete", w)
		}
	}
	for _, resource := range []string{"configmaps", "widgets"} {
		for verb, want := range map[string]int{"create": 2, "update": 6, "delete": 2} {
			if got := counts[resource+" "+verb]; got != want {
				t.Errorf("%s %s: got %d writes, want %d", verb, resource, got, want)
			}
		}
	}
	if err := cluster.Play(t.Context(), "configmap-change", "shop"); err != nil {
		t.Error(err)
	}
	if err := cluster.Stop(); err != nil {
		t.Error(err)
	}
}

// TestCompact_ExpiresOldWatchesAfterRestart is the situation of a recorder that
// was down for too long.
func TestCompact_ExpiresOldWatchesAfterRestart(t *testing.T) {
	cluster := clustertest.New(t, clustertest.Options{})
	maps := cluster.Client(t).CoreV1().ConfigMaps("default")
	before, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Kubectl(t.Context(), "create", "configmap", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("stopped API server: got an answer, want an error")
	}
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	watch, err := maps.Watch(t.Context(), metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	first := <-watch.ResultChan()
	if err := apierrors.FromObject(first.Object); !apierrors.IsResourceExpired(err) {
		t.Errorf("watch from before the compaction: got %v first, want error 410", first)
	}
}

func TestStart_InterruptedLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := clustertest.Start(ctx, clustertest.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	entries, err := os.ReadDir(temp)
	if err != nil || len(entries) != 0 {
		t.Errorf("temporary directory: got %v, error %v, want it empty", entries, err)
	}
}
