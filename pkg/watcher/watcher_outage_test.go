package watcher_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

func (l *lab) testAPIServerRestarts(t *testing.T) {
	t.Helper()
	h, sink := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}, &fakeSink{}
	var mu sync.Mutex
	var states []string
	onChange := func(c watcher.Change) {
		mu.Lock()
		defer mu.Unlock()
		if len(states) == 0 || states[len(states)-1] != c.State.String() {
			states = append(states, c.State.String())
		}
	}
	runWatcher(t, l.config(t, &clientConn{}), sink, watcher.Options{RetryAfter: time.Second, OnChange: onChange})
	reaches := func(want ...string) {
		t.Helper()
		eventually(t, strings.Join(want, " "), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(states) >= len(want) && slices.Equal(states[len(states)-len(want):], want)
		})
	}
	h.put("a")
	h.put("b")
	reaches("syncing", "watching")
	if err := l.cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	reaches("watching", "waiting")
	if err := l.cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	h.put("a")
	h.remove("b")
	h.put("c")
	reaches("watching")
	h.put("c")
	for _, name := range []string{"a", "c"} {
		want := h.of(name)
		eventually(t, name, func() bool {
			calls := about(sink.calls(), h.namespace+"/"+name)
			return len(calls) > 0 && rvOf(calls[len(calls)-1]) == rvOf(want[len(want)-1])
		})
	}
}

// rvOf returns the resourceVersion of a call of the sink.
func rvOf(call string) string {
	_, rv, _ := strings.Cut(call, "@")
	return rv
}

// If etcd has compacted the revision of the checkpoint, the watcher lists the
// resource, and the sink observes exactly the objects that exist.
func (l *lab) testCheckpointIsTooOld(t *testing.T) {
	t.Helper()
	h, sink := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}, &fakeSink{}
	h.put("a")
	h.put("b")
	stop := runWatcher(t, l.config(t, &clientConn{}), sink, watcher.Options{})
	h.put("c") // its event is a checkpoint, whenever the list ends
	h.arrivesAt(sink, "c")
	eventually(t, "the end of the list", func() bool { return sink.Checkpoint() != "" })
	stop()
	checkpoint := sink.Checkpoint()
	h.put("a")
	h.remove("b")
	h.put("d")
	if _, err := l.cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.cluster.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}

	resumed, connection := &fakeSink{checkpoint: checkpoint}, &clientConn{}
	runWatcher(t, l.config(t, connection), resumed, watcher.Options{})
	eventually(t, "the end of the list", func() bool { return resumed.Checkpoint() != checkpoint })
	want := []string{"watch " + checkpoint, "stream"}
	if got := connection.requests("configmaps"); !slices.Equal(got, want) {
		t.Errorf("requests: got %q, want %q", got, want)
	}
	calls := resumed.calls()
	if calls[0] != "begin" || slices.Contains(calls, "abort") {
		t.Errorf("calls of the sink: got %q, want one complete list", calls)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		got, versions := about(calls, h.namespace+"/"+name), h.of(name)
		want := []string{"ADDED@" + rvOf(versions[len(versions)-1])}
		if name == "b" {
			want = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("versions of %s: got %q, want %q", name, got, want)
		}
	}
}
