//go:build unix

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// testRecordEndsAtAnyMoment ends recordings by signals, sooner and later, while
// an object changes. Once a recording has announced itself, its file is valid
// and has each version of the object once. After a signal that can be handled,
// it also has the last one.
func testRecordEndsAtAnyMoment(t *testing.T, cluster *clustertest.Cluster, namespace string) {
	t.Helper()
	delays := []time.Duration{
		time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond, 300 * time.Millisecond,
		600 * time.Millisecond, 1200 * time.Millisecond, 2500 * time.Millisecond,
	}
	if testing.Short() {
		delays = delays[5:]
	}
	count := startCounter(t, cluster, namespace)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		for _, delay := range delays {
			t.Run(fmt.Sprintf("%s after %s", sig, delay), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "run.whx")
				stderr, before := endRecording(t, cluster, namespace, file, sig, delay, count)
				announced := strings.Contains(stderr, "Recording namespace "+namespace)
				_, err := os.Stat(file)
				if errors.Is(err, fs.ErrNotExist) && !announced {
					return
				}
				got, code, message := recordedCounts(t, namespace, file)
				if code != 0 {
					if announced || !strings.HasPrefix(message, "error: ") {
						t.Fatalf("read the file: got exit code %d and %q, want 0; messages:\n%s", code, message, stderr)
					}
					return
				}
				for i := 1; i < len(got); i++ {
					if got[i] != got[i-1]+1 {
						t.Fatalf("got the counts %v, want each once and in order", got)
					}
				}
				if announced && (len(got) == 0 || sig != syscall.SIGKILL && got[len(got)-1] < before) {
					t.Errorf("got the counts %v, want at least those until %d; messages:\n%s", got, before, stderr)
				}
			})
		}
	}
}

// endRecording starts a recording as a process, ends it by a signal after a
// delay, and returns its messages and the count at the time of the signal.
func endRecording(
	t *testing.T, cluster *clustertest.Cluster, namespace, file string, sig syscall.Signal, delay time.Duration,
	count *atomic.Int64,
) (stderr string, before int) {
	t.Helper()
	plugin, err := exec.LookPath("watchhistory")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), plugin, "record", "-n", namespace, "-o", file, "--quiet")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "KUBECACHEDIR="+t.TempDir())
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay)
	before = int(count.Load())
	if err := cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the exit code depends on the moment
	return messages.String(), before
}

// startCounter counts in a ConfigMap until the test ends. The result is the
// last count that the API server has accepted.
func startCounter(t *testing.T, cluster *clustertest.Cluster, namespace string) *atomic.Int64 {
	t.Helper()
	client, err := dynamic.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "counter"},
		"data": map[string]any{"n": "1"},
	}}
	if object, err = maps.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var count atomic.Int64
	count.Store(1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			n := count.Load() + 1
			if err := unstructured.SetNestedField(object.Object, strconv.FormatInt(n, 10), "data", "n"); err != nil {
				t.Error(err)
			}
			updated, err := maps.Update(t.Context(), object, metav1.UpdateOptions{})
			if err != nil {
				t.Errorf("count to %d: %v", n, err)
				return
			}
			object = updated
			count.Store(n)
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return &count
}

// recordedCounts reads the counts of a file, the oldest first.
func recordedCounts(t *testing.T, namespace, file string) (counts []int, code int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	code, stderr = run(t.Context(), &recording{t: t, now: time.Now()}, &out,
		"history", "cm/counter", "-n", namespace, "-f", file, "--all", "--revision", "1..", "-o", "json")
	if code != 0 {
		return nil, code, stderr
	}
	type counter struct{ Data struct{ N string } }
	var found struct {
		counter

		Items []counter
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatalf("%v in\n%s", err, out.Bytes())
	}
	if found.Items == nil { // one version is not a list
		found.Items = []counter{found.counter}
	}
	for _, item := range found.Items {
		n, err := strconv.Atoi(item.Data.N)
		if err != nil {
			t.Fatal(err)
		}
		counts = append([]int{n}, counts...)
	}
	return counts, 0, ""
}
