package watcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// runWatcher starts a watcher of ConfigMaps. stop stops it, which happens at
// the end of the test at the latest.
func runWatcher(t *testing.T, cfg *rest.Config, sink watcher.Sink, opts watcher.Options) (stop func()) {
	t.Helper()
	w, err := watcher.New(cfg, configMaps(), sink, opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// truth writes ConfigMaps of one namespace, and keeps their versions in the
// form of the fakeSink's calls.
type truth struct {
	t         *testing.T
	kube      *kubernetes.Clientset
	namespace string

	mu       sync.Mutex
	versions []string
}

// put creates or updates a ConfigMap.
func (h *truth) put(name string) {
	h.t.Helper()
	client := h.kube.CoreV1().ConfigMaps(h.namespace)
	cm, err := client.Get(h.t.Context(), name, metav1.GetOptions{})
	verb := "MODIFIED"
	if err != nil {
		verb = "ADDED"
		cm, err = client.Create(h.t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}},
			metav1.CreateOptions{})
	} else {
		cm.Data = map[string]string{"n": cm.ResourceVersion, "pad": strings.Repeat("x", rand.IntN(50_000))}
		cm, err = client.Update(h.t.Context(), cm, metav1.UpdateOptions{})
	}
	if err != nil {
		h.t.Error(err)
		return
	}
	h.keep(verb, cm.Name, cm.ResourceVersion)
}

func (h *truth) remove(name string) {
	h.t.Helper()
	if err := h.kube.CoreV1().ConfigMaps(h.namespace).Delete(h.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		h.t.Error(err)
	}
	h.keep("DELETED", name, "?") // the answer does not have the resourceVersion of the deletion
}

func (h *truth) keep(verb, name, rv string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.versions = append(h.versions, fmt.Sprintf("%s %s/%s@%s", verb, h.namespace, name, rv))
}

// count returns the number of versions.
func (h *truth) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.versions)
}

// of returns the versions of one ConfigMap, in order.
func (h *truth) of(name string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return about(h.versions, h.namespace+"/"+name)
}

// about returns the calls about one object, without the resourceVersions of
// deletions.
func about(calls []string, object string) (all []string) {
	for _, call := range calls {
		verb, rest, _ := strings.Cut(call, " ")
		name, rv, _ := strings.Cut(rest, "@")
		if name != object {
			continue
		}
		if verb == "DELETED" {
			rv = "?"
		}
		all = append(all, verb+"@"+rv)
	}
	return all
}

// arrivesAt waits until the sink has all versions of a ConfigMap, and compares
// them.
func (h *truth) arrivesAt(sink *fakeSink, name string) {
	h.t.Helper()
	want := h.of(name)
	eventually(h.t, strings.Join(want, " "), func() bool {
		return len(about(sink.calls(), h.namespace+"/"+name)) >= len(want)
	})
	if got := about(sink.calls(), h.namespace+"/"+name); !slices.Equal(got, want) {
		h.t.Errorf("versions of %s\n got %q\nwant %q", name, got, want)
	}
}

func (l *lab) testResumesWithoutAList(t *testing.T) {
	t.Helper()
	h, sink, first := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}, &fakeSink{}, &clientConn{}
	h.put("a")
	stop := runWatcher(t, l.config(t, first), sink, watcher.Options{})
	h.arrivesAt(sink, "a")
	h.put("a")
	h.put("b")
	h.arrivesAt(sink, "a")
	h.arrivesAt(sink, "b")
	stop()
	if got := first.requests("configmaps"); !slices.Equal(got, []string{"stream"}) {
		t.Errorf("requests of the first run: got %q, want one stream", got)
	}

	// The last call of the sink is its checkpoint.
	resumed := &fakeSink{checkpoint: lastRV(t, sink)}
	h.put("a")
	h.remove("b")
	h.put("b")
	h.put("c")
	second := &clientConn{}
	runWatcher(t, l.config(t, second), resumed, watcher.Options{})
	eventually(t, "c", func() bool { return len(about(resumed.calls(), h.namespace+"/c")) == 1 })
	for _, name := range []string{"a", "b", "c"} {
		before := about(sink.calls(), h.namespace+"/"+name)
		got, want := about(resumed.calls(), h.namespace+"/"+name), h.of(name)[len(before):]
		if !slices.Equal(got, want) {
			t.Errorf("versions of %s after the restart: got %q, want %q", name, got, want)
		}
	}
	if got := second.requests("configmaps"); len(got) != 1 || got[0] != "watch "+resumed.checkpoint {
		t.Errorf("requests of the second run: got %q, want one watch from %s", got, resumed.checkpoint)
	}
}

// lastRV returns the resourceVersion of the last event or bookmark of the sink.
func lastRV(t *testing.T, sink *fakeSink) string {
	t.Helper()
	calls := sink.calls()
	last := calls[len(calls)-1]
	return last[strings.LastIndexAny(last, "@ ")+1:]
}

// Lists begin, and connections are closed, while objects are written. The
// versions of an object that a sink observes have no hole.
func (l *lab) testUnderLoad(t *testing.T) {
	t.Helper()
	h := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	sinks, wires := make([]*fakeSink, 4), make([]*clientConn, 4)
	names := []string{"a", "b", "c", "d"}
	var writers sync.WaitGroup
	for _, name := range names {
		writers.Go(func() {
			for n := range 150 {
				if n%10 == 9 {
					h.remove(name)
				} else {
					h.put(name)
				}
			}
		})
	}
	for i := range sinks {
		// The watchers begin at different points of the load.
		eventually(t, "a part of the load", func() bool { return h.count() >= (i+1)*40 })
		sinks[i], wires[i] = &fakeSink{}, &clientConn{}
		runWatcher(t, l.config(t, wires[i]), sinks[i], watcher.Options{})
		wires[i/2].cut()
	}
	writers.Wait()
	for i, sink := range sinks {
		for _, name := range names {
			want := h.of(name)
			end := want[len(want)-3:]
			eventually(t, "the end of "+name, func() bool {
				got := about(sink.calls(), h.namespace+"/"+name)
				return len(got) >= 3 && slices.Equal(got[len(got)-3:], end)
			})
			got := about(sink.calls(), h.namespace+"/"+name)
			part := slices.Clone(want[len(want)-len(got):])
			part[0] = strings.Replace(part[0], "MODIFIED", "ADDED", 1) // the list has it as added
			if !slices.Equal(got, part) {
				t.Errorf("sink %d, versions of %s\n got %q\nwant %q", i, name, got, part)
			}
		}
	}
}

// The objects in the pages of a real server equal those of its watch.
func (l *lab) testPagesEqualTheWatch(t *testing.T) {
	t.Helper()
	h := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	for n := range 10 {
		h.put(fmt.Sprint("cm-", n))
	}
	noStreams := &clientConn{answer: func(r *http.Request) *http.Response {
		if !r.URL.Query().Has("sendInitialEvents") {
			return nil
		}
		return &http.Response{
			StatusCode: http.StatusUnprocessableEntity, Request: r, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(failure(422, "Invalid", "sendInitialEvents: Forbidden"))),
		}
	}}
	streamed, listed := &fakeSink{}, &fakeSink{}
	stopStream := runWatcher(t, l.config(t, &clientConn{}), streamed, watcher.Options{})
	stopList := runWatcher(t, l.config(t, noStreams), listed, watcher.Options{PageSize: 3})
	h.arrivesAt(streamed, "cm-9")
	h.arrivesAt(listed, "cm-9")
	h.put("late")
	h.arrivesAt(streamed, "late")
	h.arrivesAt(listed, "late")
	stopStream()
	stopList()
	if n := len(noStreams.requests("configmaps")); n < 6 {
		t.Errorf("requests: got %d, want a stream, 4 pages or more, and a watch", n)
	}
	for n := range 10 {
		name := fmt.Sprint("cm-", n)
		if got, want := objectOf(listed, h.namespace, name), objectOf(streamed, h.namespace, name); got != want ||
			got == "" {
			t.Errorf("%s\n got %s in a list,\nwant %s as in a watch", name, got, want)
		}
	}
}

// objectOf returns the first JSON of an object that the sink observed, or "".
func objectOf(sink *fakeSink, namespace, name string) string {
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for _, f := range sink.events {
		var o metav1.PartialObjectMetadata
		if json.Unmarshal(f.Object, &o) == nil && o.Namespace == namespace && o.Name == name {
			return string(f.Object)
		}
	}
	return ""
}
