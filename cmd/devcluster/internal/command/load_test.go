package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/load"
)

func TestTruthIsWhatAWatchSees(t *testing.T) {
	f := newFixture(t)
	client, err := dynamic.NewForConfig(f.up(t, "--components", "etcd,apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	f.run(t, "load", "--kinds", "widgets", "--objects", "1", "--updates", "0", "--prefix", "define")
	kinds := []schema.GroupVersionResource{
		{Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "secrets"},
		{Group: "load.devcluster.dev", Version: "v1", Resource: "widgets"},
	}
	var watches []watch.Interface
	for _, gvr := range kinds {
		watches = append(watches, watchFromNow(t, client, gvr))
	}
	truth := f.load(t, "--kinds", "pods,configmaps,secrets,widgets",
		"--objects", "40", "--updates", "20", "--writers", "8", "--delete")
	const perKind, marks = 10 * (1 + 20 + 1), 10
	if len(truth) != 4*perKind+marks {
		t.Fatalf("truth has %d writes, want %d", len(truth), 4*perKind+marks)
	}
	for i, gvr := range kinds {
		var want []load.Write
		for _, w := range truth {
			if w.Resource == gvr.Resource {
				want = append(want, w)
			}
		}
		compare(t, want, seen(t, watches[i], gvr, len(want)))
	}
}

// compare checks that each object's writes are the same, in the same order.
func compare(t *testing.T, truth, seen []load.Write) {
	t.Helper()
	histories := map[string][]load.Write{}
	for _, w := range seen {
		histories[w.UID] = append(histories[w.UID], w)
	}
	for _, want := range truth {
		rest := histories[want.UID]
		if len(rest) == 0 {
			t.Fatalf("in the truth only: %+v", want)
		}
		got := rest[0]
		histories[want.UID] = rest[1:]
		if want.Verb == load.Delete {
			got.ResourceVersion = ""
		}
		if got != want {
			t.Fatalf("watch shows %+v, the truth is %+v", got, want)
		}
	}
	for _, rest := range histories {
		if len(rest) > 0 {
			t.Fatalf("missing in the truth: %+v", rest)
		}
	}
}

func watchFromNow(t *testing.T, client dynamic.Interface, gvr schema.GroupVersionResource) watch.Interface {
	t.Helper()
	list, err := client.Resource(gvr).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Resource(gvr).Namespace("load").Watch(t.Context(),
		metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

func seen(t *testing.T, w watch.Interface, gvr schema.GroupVersionResource, count int) []load.Write {
	t.Helper()
	verbs := map[watch.EventType]string{
		watch.Added: load.Create, watch.Modified: load.Update, watch.Deleted: load.Delete,
	}
	var writes []load.Write
	for len(writes) < count {
		frame, open := <-w.ResultChan()
		object, ok := frame.Object.(*unstructured.Unstructured)
		if !open || !ok || verbs[frame.Type] == "" {
			t.Fatalf("watch of %s ended after %d writes: %v", gvr.Resource, len(writes), frame)
		}
		writes = append(writes, load.Write{
			Group: gvr.Group, Resource: gvr.Resource, Namespace: object.GetNamespace(), Name: object.GetName(),
			UID: string(object.GetUID()), ResourceVersion: object.GetResourceVersion(), Verb: verbs[frame.Type],
		})
	}
	return writes
}

// A write whose response was lost must be in the truth if and only if the API
// server accepted it.
func TestTruthSurvivesTheAPIServersDeath(t *testing.T) {
	f := newFixture(t)
	client, err := dynamic.NewForConfig(f.up(t, "--components", "etcd,apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	killed := make(chan error, 1)
	go func() { killed <- f.killAPIServer(ctx, client) }()
	truth := f.load(t, "--objects", "8", "--updates", "40", "--writers", "8", "--rate", "80")
	cancel()
	if err := <-killed; err != nil {
		t.Errorf("restart: %v", err)
	}
	if len(truth) != 8*41 {
		t.Errorf("truth has %d writes, want %d", len(truth), 8*41)
	}
	last := lastVersions(t, truth)
	pods, err := loadedPods(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		if got := last[string(pod.GetUID())]; fmt.Sprint(got) != pod.GetResourceVersion() {
			t.Errorf("%s is at %s, the truth ends with %d", pod.GetName(), pod.GetResourceVersion(), got)
		}
	}
	if len(pods.Items) != 8 {
		t.Errorf("%d pods, want 8", len(pods.Items))
	}
}

// killAPIServer waits until the load has begun, and then kills the API server
// repeatedly until ctx is done. When it returns, the API server is healthy.
func (f fixture) killAPIServer(ctx context.Context, client dynamic.Interface) error {
	for {
		pods, err := loadedPods(ctx, client)
		if ctx.Err() != nil {
			return errors.New("the load was over before it was disturbed")
		}
		if err == nil && len(pods.Items) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for ctx.Err() == nil {
		if err := f.command(context.WithoutCancel(ctx), "restart", "apiserver").Run(); err != nil {
			return err
		}
	}
	return nil
}

func loadedPods(ctx context.Context, client dynamic.Interface) (*unstructured.UnstructuredList, error) {
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	return client.Resource(pods).Namespace("load").List(ctx, metav1.ListOptions{})
}

// lastVersions returns the last version of each object. It checks that versions
// increase.
func lastVersions(t *testing.T, truth []load.Write) map[string]uint64 {
	t.Helper()
	last := map[string]uint64{}
	for _, w := range truth {
		version, err := strconv.ParseUint(w.ResourceVersion, 10, 64)
		if err != nil || version <= last[w.UID] {
			t.Fatalf("version after %d: %+v, %v", last[w.UID], w, err)
		}
		last[w.UID] = version
	}
	return last
}

// load runs a load and returns the accepted writes.
func (f fixture) load(t *testing.T, args ...string) []load.Write {
	t.Helper()
	file := filepath.Join(t.TempDir(), "truth.jsonl")
	if _, messages, err := f.try(t, append([]string{"load", "--truth", file}, args...)...); err != nil {
		t.Fatalf("load: %v\n%s", err, messages)
	} else if !strings.Contains(messages, "writes in") {
		t.Errorf("load reports %q", messages)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	writes, err := load.ReadTruth(in)
	if err != nil {
		t.Fatal(err)
	}
	return writes
}
