package watcher_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// named returns resources of the core group.
func named(plurals ...string) (all []history.Resource) {
	for _, plural := range plurals {
		all = append(all, history.Resource{Version: "v1", Plural: plural})
	}
	return all
}

func core(plural string) schema.GroupResource { return schema.GroupResource{Resource: plural} }

// ends waits until a resource has no state.
func (w *testSet) ends(t *testing.T, gr string) {
	t.Helper()
	eventually(t, "the end of "+gr, func() bool { _, ok := w.state(gr); return !ok })
}

// begins returns the number of lists of a resource.
func (w *testSet) begins(gr string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, call := range w.sink(gr).calls() {
		if call == "begin" {
			n++
		}
	}
	return n
}

// Watchers start for added resources and end for removed ones. The others are
// not disturbed. A resource that is added again resumes from its sink's
// checkpoint, so nothing is lost.
func (l *lab) testConfigurationChanges(t *testing.T) {
	t.Helper()
	h, connection := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}, &clientConn{held: "services"}
	w := runSet(t, l.config(t, connection), watcher.Targets{Resources: named("configmaps", "secrets")})
	w.reaches(t, "secrets", watcher.Watching)
	w.reaches(t, "configmaps", watcher.Watching)
	h.put("a")
	eventually(t, "a", func() bool { return len(w.calls("configmaps", h.namespace+"/a")) == 1 })

	connection.gate.Lock()
	w.Configure(watcher.Targets{Resources: named("services", "secrets")})
	w.reaches(t, "services", watcher.Waiting)
	connection.gate.Unlock()
	w.reaches(t, "services", watcher.Watching)
	w.ends(t, "configmaps")
	if got := w.Absence(core("configmaps")); got.Reason != history.GapNotConfigured || got.Detail == "" {
		t.Errorf("absence of configmaps: got %+v, want %s and a detail", got, history.GapNotConfigured)
	}
	before := w.calls("configmaps", h.namespace+"/a")
	h.put("a")
	h.put("b")
	h.remove("b")

	w.Configure(watcher.Targets{Resources: named("secrets", "configmaps")})
	w.reaches(t, "configmaps", watcher.Watching)
	for _, name := range []string{"a", "b"} {
		want := h.of(name)
		eventually(t, name, func() bool {
			calls := w.calls("configmaps", h.namespace+"/"+name)
			return len(calls) >= len(want) && slices.Equal(calls[len(calls)-len(want):], want)
		})
	}
	if calls := w.calls("configmaps", h.namespace+"/a"); !slices.Equal(calls[:len(before)], before) {
		t.Errorf("calls about a: got %q, want them to begin with %q", calls, before)
	}
	// A server under load ends watches whose reader is too slow, so there may
	// be more than one.
	if got := connection.requests("configmaps"); len(got) < 2 || got[0] != "stream" ||
		slices.ContainsFunc(got[1:], notAWatch) {
		t.Errorf("requests for configmaps: got %q, want a stream and watches", got)
	}
	if got := connection.requests("secrets"); !slices.Equal(got, []string{"stream"}) ||
		w.begins("secrets") != 1 || len(w.opens("secrets")) != 1 {
		t.Errorf("requests for secrets: got %q, want one stream and no other list", got)
	}
	w.ends(t, "services")
}

func notAWatch(request string) bool { return !strings.HasPrefix(request, "watch ") }

// While discovery hangs or fails, removed resources end, and the others
// continue.
func (l *lab) testConfigurationChangesWhileDiscoveryFails(t *testing.T) {
	t.Helper()
	var hanging sync.RWMutex
	var failing atomic.Bool
	connection := &clientConn{answer: func(r *http.Request) *http.Response {
		if len(strings.Split(r.URL.Path, "/")) >= 4 {
			return nil
		}
		hanging.RLock()
		defer hanging.RUnlock()
		if !failing.Load() {
			return nil
		}
		return &http.Response{
			StatusCode: http.StatusServiceUnavailable, Request: r, Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(failure(503, "ServiceUnavailable", "not now"))),
		}
	}}
	w := runSet(t, l.config(t, connection), watcher.Targets{Resources: named("configmaps", "secrets")})
	w.reaches(t, "secrets", watcher.Watching)
	w.reaches(t, "configmaps", watcher.Watching)
	hanging.Lock()
	resume := sync.OnceFunc(hanging.Unlock)
	t.Cleanup(resume)
	failing.Store(true)
	w.Configure(watcher.Targets{Resources: named("secrets", "services")})
	w.ends(t, "configmaps")
	resume()
	w.reaches(t, "services", watcher.Waiting)
	if s, _ := w.state("secrets"); s.State != watcher.Watching {
		t.Errorf("state of secrets: got %s, want watching", s.State)
	}
	failing.Store(false)
	w.reaches(t, "services", watcher.Watching)
	if got := connection.requests("secrets"); !slices.Equal(got, []string{"stream"}) {
		t.Errorf("requests for secrets: got %q, want one stream and no other list", got)
	}
}

func (l *lab) testCRDsAreDiscoveredOrNot(t *testing.T) {
	t.Helper()
	ns := l.namespace(t)
	gadgets := crd{t, l.objects, ns + ".example.com", "gadgets"}
	gizmos := crd{t, l.objects, ns + ".example.org", "gadgets"}
	connection := &clientConn{}
	w := runSet(t, l.config(t, connection), watcher.Targets{Resources: named("configmaps"), DiscoverCRDs: true})
	gadgets.serve("v1")
	gizmos.serve("v1")
	w.reaches(t, gadgets.name(), watcher.Watching)
	w.reaches(t, gizmos.name(), watcher.Watching)
	gadgets.create("v1", ns, "a")
	eventually(t, "a", func() bool { return len(w.calls(gadgets.name(), ns+"/a")) == 1 })

	own := history.Resource{Group: gizmos.group, Version: "v1", Plural: gizmos.plural}
	w.Configure(watcher.Targets{Resources: append(named("configmaps"), own)})
	w.ends(t, gadgets.name())
	got := w.Absence(schema.GroupResource{Group: gadgets.group, Resource: gadgets.plural})
	if got.Reason != history.GapNotConfigured {
		t.Errorf("absence of gadgets: got %+v, want %s", got, history.GapNotConfigured)
	}
	gadgets.create("v1", ns, "b")

	w.Configure(watcher.Targets{
		DiscoverCRDs: true,
		Excluded:     []schema.GroupResource{{Group: gizmos.group, Resource: gizmos.plural}, core("configmaps")},
	})
	eventually(t, "b", func() bool { return len(w.calls(gadgets.name(), ns+"/b")) == 1 })
	w.reaches(t, gizmos.name(), watcher.Ignored)
	w.reaches(t, "configmaps", watcher.Ignored)
	if s, _ := w.state(gizmos.name()); s.Resource.Kind != "Gadget" || s.Reason != history.GapNotConfigured ||
		s.Configured || !strings.Contains(s.Detail, "configuration") {
		t.Errorf("state of gizmos: got %+v, want a Gadget that the configuration ignores", s)
	}
	if n := w.begins(gadgets.name()); n != 1 {
		t.Errorf("lists of gadgets: got %d, want 1", n)
	}
	if n := len(w.opens(gizmos.name())); n != 1 {
		t.Errorf("sinks of gizmos: got %d opened, want 1", n)
	}

	gadgets.remove()
	w.ends(t, gadgets.name())
	if got := w.Absence(schema.GroupResource{Group: gadgets.group, Resource: gadgets.plural}); !got.None() {
		t.Errorf("absence of gadgets after their CRD was deleted: got %+v, want none", got)
	}
	w.Configure(watcher.Targets{
		DiscoverCRDs: true, Excluded: []schema.GroupResource{{Group: gadgets.group, Resource: gadgets.plural}},
	})
	w.reaches(t, gizmos.name(), watcher.Watching)
	eventually(t, "gadgets are excluded and not served", func() bool {
		s, _ := w.state(gadgets.name())
		return s.State == watcher.Ignored && s.Reason == ""
	})
	if n := w.begins(gizmos.name()); n != 1 {
		t.Errorf("lists of gizmos: got %d, want 1", n)
	}
}

func (l *lab) testCRDsAreForbidden(t *testing.T) {
	t.Helper()
	gadgets := crd{t, l.objects, l.namespace(t) + ".example.com", "gadgets"}
	gadgets.serve("v1")
	gr := schema.GroupResource{Group: gadgets.group, Resource: gadgets.plural}
	cfg, user := l.unprivileged(t, &clientConn{})
	l.allow(t, user, "configmaps")
	w := runSet(t, cfg, watcher.Targets{Resources: named("configmaps"), DiscoverCRDs: true})
	w.reaches(t, "configmaps", watcher.Watching)
	eventually(t, "the reason forbidden", func() bool { return w.Absence(gr).Reason == history.GapForbidden })
}

func TestAbsence_BeforeDiscoveryIsTheOutage(t *testing.T) {
	t.Parallel()
	w := runSet(t, &rest.Config{Host: "http://127.0.0.1:1"}, watcher.Targets{Resources: named("configmaps")})
	w.reaches(t, "configmaps", watcher.Waiting)
	for _, plural := range []string{"secrets", "unknowns"} {
		if got := w.Absence(core(plural)); got.Reason != history.GapDisconnected ||
			!strings.Contains(got.Detail, "refused") {
			t.Errorf("absence of %s: got %+v, want that the connection is refused", plural, got)
		}
	}
	if got := w.Absence(core("configmaps")); !got.None() {
		t.Errorf("absence of configmaps, which have a state: got %+v, want none", got)
	}
}
