package watcher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// testSet is a running set with a sink for each resource. A sink outlives the
// watchers that use it.
type testSet struct {
	*watcher.Set

	missed  gap.Cause        // that Open returns
	refusal map[string]error // that Open returns, by resource

	documents watcher.DocumentSink // nil: they are not read
	prefix    string               // of all paths of the server

	mu     sync.Mutex
	opened []string // "VERSION RESOURCE" of each call of Open
	sinks  map[string]*fakeSink
	log    bytes.Buffer
}

// runSet runs a set until the test ends.
func runSet(t *testing.T, cfg *rest.Config, targets watcher.Targets) *testSet {
	t.Helper()
	return runSetIn(t, cfg, "", targets, map[string]*fakeSink{})
}

// runSetIn runs a set in one namespace, with sinks that may have checkpoints.
func runSetIn(
	t *testing.T, cfg *rest.Config, namespace string, targets watcher.Targets, sinks map[string]*fakeSink,
) *testSet {
	t.Helper()
	w := &testSet{sinks: sinks}
	opts := watcher.SetOptions{Targets: targets, Open: w.open}
	opts.Logger = slog.New(slog.NewTextHandler(w, nil))
	opts.RetryAfter, opts.Namespace = time.Second, namespace
	set, err := watcher.NewSet(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.Set = set
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
	return w
}

func (w *testSet) open(_ context.Context, r history.Resource) (watcher.Sink, gap.Cause, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, r.Version+" "+r.GroupResource().String())
	if err := w.refusal[r.GroupResource().String()]; err != nil {
		return nil, gap.Cause{}, err
	}
	return w.sink(r.GroupResource().String()), w.missed, nil
}

// sink returns the sink of a resource. The caller holds mu.
func (w *testSet) sink(gr string) *fakeSink {
	if w.sinks[gr] == nil {
		w.sinks[gr] = &fakeSink{}
	}
	return w.sinks[gr]
}

// calls returns the calls about an object of a resource.
func (w *testSet) calls(gr, object string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return about(w.sink(gr).calls(), object)
}

// opens returns the versions for which the sink of a resource was opened.
func (w *testSet) opens(gr string) (versions []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.opened {
		if version, of, _ := strings.Cut(o, " "); of == gr {
			versions = append(versions, version)
		}
	}
	return versions
}

func (w *testSet) state(gr string) (watcher.Status, bool) {
	for _, s := range w.States() {
		if s.Resource.GroupResource().String() == gr {
			return s, true
		}
	}
	return watcher.Status{}, false
}

// reaches waits until a resource is in a state.
func (w *testSet) reaches(t *testing.T, gr string, state watcher.State) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("states at the end: %+v", w.States())
		}
	})
	eventually(t, gr+" is "+state.String(), func() bool {
		s, ok := w.state(gr)
		return ok && s.State == state
	})
}

// Write implements [io.Writer] for the log of the set.
func (w *testSet) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// logged returns the number of log lines with all of these parts.
func (w *testSet) logged(what ...string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if !slices.ContainsFunc(what, func(s string) bool { return !strings.Contains(line, s) }) {
			n++
		}
	}
	return n
}

func (l *lab) testConfiguredResources(t *testing.T) {
	t.Helper()
	w := runSet(t, l.config(t, &clientConn{}), watcher.Targets{Resources: []history.Resource{
		{Version: "v1", Plural: "configmaps"},
		{Group: "apps", Version: "v1beta1", Plural: "deployments"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"},
		{Version: "v1", Plural: "events"},
		{Group: "events.k8s.io", Version: "v1", Plural: "events"},
		{Version: "v1", Plural: "bindings"}, // can only be created
		{Group: "none.example.com", Version: "v1", Plural: "widgets", Kind: "Widget"},
	}})
	eventually(t, "all served resources are watched", func() bool {
		states := w.States()
		return len(states) == 6 && !slices.ContainsFunc(states, func(s watcher.Status) bool {
			return s.State != watcher.Watching && !s.Refused
		})
	})
	var got []string
	for _, s := range w.States() {
		r := s.Resource
		if !s.Configured {
			t.Errorf("%s: got configured false, want true", r.Plural)
		}
		got = append(got,
			fmt.Sprintf("%s %s %s %v %v %v", r.APIVersion(), r.Plural, r.Kind, r.ShortNames, r.Namespaced, s.State))
	}
	want := []string{
		"v1 bindings  [] false waiting",
		"v1 configmaps ConfigMap [cm] true watching",
		"v1 events Event [ev] true watching",
		"apps/v1 deployments Deployment [deploy] true watching",
		"none.example.com/v1 widgets Widget [] false waiting",
		"rbac.authorization.k8s.io/v1 clusterroles ClusterRole [] false watching",
	}
	if !slices.Equal(got, want) {
		t.Errorf("states\n got %q\nwant %q", got, want)
	}
	for _, want := range [][]string{
		{"level=WARN", "widgets.none.example.com", "not served"},
		{"level=WARN", "bindings", "not served"},
		{"level=INFO", "deployments.apps", "version=v1beta1", "served=v1"},
		{"level=INFO", "events.events.k8s.io", "not watched twice"},
	} {
		eventually(t, "a log of "+strings.Join(want, " "), func() bool { return w.logged(want...) > 0 })
		if n := w.logged(want...); n != 1 {
			t.Errorf("lines with %q: got %d, want 1", want, n)
		}
	}
}

func TestSet_ReportsAnUnreachableServer(t *testing.T) {
	t.Parallel()
	w := runSet(t, &rest.Config{Host: "http://127.0.0.1:1"}, watcher.Targets{
		Resources: []history.Resource{{Version: "v1", Plural: "configmaps"}}, DiscoverCRDs: true,
	})
	eventually(t, "the detail of the outage", func() bool {
		s, ok := w.state("configmaps")
		return ok && s.State == watcher.Waiting && strings.Contains(s.Detail, "refused") && !s.Refused
	})
	eventually(t, "troubles of discovery and of the CRDs' watch", func() bool {
		got := w.Troubles()
		return len(got) == 2 && got[0].Reason == history.GapDisconnected && got[0].Detail == got[1].Detail &&
			strings.Contains(got[0].Detail, "refused")
	})
	eventually(t, "one line for all resources", func() bool {
		return w.logged("level=WARN", "count=3", "configmaps,discovery", "refused") == 1
	})
}

func (l *lab) testSinkThatCannotBeOpened(t *testing.T) {
	t.Helper()
	locked := errors.New("locked")
	set, err := watcher.NewSet(l.config(t, &clientConn{}), watcher.SetOptions{
		Targets: watcher.Targets{
			Resources: []history.Resource{{Version: "v1", Plural: "configmaps"}, {Version: "v1", Plural: "secrets"}},
		},
		Open: func(_ context.Context, r history.Resource) (watcher.Sink, gap.Cause, error) {
			if r.Plural == "secrets" {
				return nil, gap.Cause{}, locked
			}
			return &fakeSink{}, gap.Cause{}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Run(t.Context()); !errors.Is(err, locked) || !strings.Contains(err.Error(), "secrets") {
		t.Errorf("Run: got %v, want the error of Open with the name of the resource", err)
	}
}

// A resource that can never be recorded does not affect the others.
func (l *lab) testResourceThatCannotBeRecorded(t *testing.T) {
	t.Helper()
	sink := &fakeSink{}
	set, err := watcher.NewSet(l.config(t, &clientConn{}), watcher.SetOptions{
		Targets: watcher.Targets{
			Resources: []history.Resource{{Version: "v1", Plural: "configmaps"}, {Version: "v1", Plural: "secrets"}},
		},
		Open: func(_ context.Context, r history.Resource) (watcher.Sink, gap.Cause, error) {
			if r.Plural == "secrets" {
				return nil, gap.Cause{}, fmt.Errorf("register: %w",
					history.Errorf(history.Invalid, "no number is left"))
			}
			return sink, gap.Cause{}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	state := func(plural string) (s watcher.Status) {
		for _, s := range set.States() {
			if s.Resource.Plural == plural {
				return s
			}
		}
		return s
	}
	eventually(t, "configmaps are watched, and secrets wait", func() bool {
		s := state("secrets")
		return state("configmaps").State == watcher.Watching && s.State == watcher.Waiting &&
			s.Reason == history.GapStorage && s.Refused &&
			strings.Contains(s.Detail, "no number is left")
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
}

func (l *lab) testPermissionIsGrantedLater(t *testing.T) {
	t.Helper()
	connection := &clientConn{}
	cfg, user := l.unprivileged(t, connection)
	l.allow(t, user, "configmaps")
	w := runSet(t, cfg, watcher.Targets{Resources: []history.Resource{
		{Version: "v1", Plural: "configmaps"}, {Version: "v1", Plural: "secrets"},
	}, DiscoverCRDs: true})
	w.reaches(t, "configmaps", watcher.Watching)
	eventually(t, "a refusal", func() bool {
		s, ok := w.state("secrets")
		return ok && s.State == watcher.Waiting && s.Refused && strings.Contains(s.Detail, "list and watch on secrets")
	})
	eventually(t, "four attempts", func() bool { return len(connection.requests("secrets")) >= 4 })
	eventually(t, "a log of the refusals", func() bool {
		return w.logged("level=WARN", "resource=secrets") > 0 &&
			w.logged("level=WARN", "resource=customresourcedefinitions") > 0
	})
	if n := w.logged("level=WARN", "resource=secrets"); n != 1 {
		t.Errorf("lines about secrets: got %d, want 1", n)
	}
	if n := w.logged("level=WARN", "resource=customresourcedefinitions"); n != 1 {
		t.Errorf("lines about CRDs: got %d, want 1", n)
	}
	l.allow(t, user, "configmaps", "secrets")
	w.reaches(t, "secrets", watcher.Watching)
	if got := w.opens("configmaps"); len(got) != 1 {
		t.Errorf("sinks of configmaps: got %d opened, want 1", len(got))
	}
}

// If a permission is revoked and granted again, the watch resumes without a
// list.
func (l *lab) testPermissionIsRevoked(t *testing.T) {
	t.Helper()
	connection := &clientConn{}
	cfg, user := l.unprivileged(t, connection)
	l.allow(t, user, "configmaps")
	h := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	w := runSet(t, cfg, watcher.Targets{Resources: []history.Resource{{Version: "v1", Plural: "configmaps"}}})
	w.reaches(t, "configmaps", watcher.Watching)
	h.put("a")
	h.put("b")
	eventually(t, "b", func() bool { return len(w.calls("configmaps", h.namespace+"/b")) == 1 })
	l.allow(t, user)
	refused := func() bool {
		connection.cut()
		s, _ := w.state("configmaps")
		return s.Refused
	}
	eventually(t, "a refusal", refused)
	h.put("a")
	h.remove("b")
	l.allow(t, user, "configmaps")
	w.reaches(t, "configmaps", watcher.Watching)
	for _, name := range []string{"a", "b"} {
		eventually(t, name, func() bool {
			return slices.Equal(w.calls("configmaps", h.namespace+"/"+name), h.of(name))
		})
	}
	if calls := w.sinks["configmaps"].calls(); slices.Index(calls[1:], "begin") >= 0 {
		t.Errorf("calls of the sink: got %q, want a single list", calls)
	}
}

// unprivileged returns the configuration of a user who is only permitted to
// discover.
func (l *lab) unprivileged(t *testing.T, w *clientConn) (cfg *rest.Config, user string) {
	t.Helper()
	user = "recorder-" + l.namespace(t)
	cfg = l.config(t, w)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return cfg, user
}

// allow permits a user to list and watch these resources of the core group. It
// revokes all other permissions.
func (l *lab) allow(t *testing.T, user string, plurals ...string) {
	t.Helper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}}
	if len(plurals) > 0 {
		role.Rules = []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: plurals, Verbs: []string{"list", "watch"}},
		}
	}
	// An update creates the role if it does not exist.
	if _, err := l.kube.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := l.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// crd is a CRD of one test.
type crd struct {
	t             *testing.T
	objects       *dynamic.DynamicClient
	group, plural string
}

func (d crd) client() dynamic.ResourceInterface {
	return d.objects.Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
}

func (d crd) name() string { return d.plural + "." + d.group }

// serve creates the CRD, or changes its versions. The first version is stored.
// Versions with the prefix "-" are not served.
func (d crd) serve(versions ...string) {
	d.t.Helper()
	var list []any
	for i, v := range versions {
		list = append(list, map[string]any{
			"name": strings.TrimPrefix(v, "-"), "served": !strings.HasPrefix(v, "-"), "storage": i == 0,
			"schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			},
		})
	}
	body := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": d.name()},
		"spec": map[string]any{
			"group": d.group, "scope": "Namespaced", "versions": list,
			"names": map[string]any{
				"plural": d.plural, "singular": "gadget", "kind": "Gadget", "shortNames": []any{"gd"},
			},
		},
	}}
	client := d.client()
	if now, err := client.Get(d.t.Context(), d.name(), metav1.GetOptions{}); err == nil {
		body.SetResourceVersion(now.GetResourceVersion())
		if _, err := client.Update(d.t.Context(), body, metav1.UpdateOptions{}); err != nil {
			d.t.Fatal(err)
		}
		return
	}
	if _, err := client.Create(d.t.Context(), body, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

// remove deletes the CRD and waits until it is gone.
func (d crd) remove() {
	d.t.Helper()
	if err := d.client().Delete(d.t.Context(), d.name(), metav1.DeleteOptions{}); err != nil {
		d.t.Fatal(err)
	}
	eventually(d.t, "the end of the CRD", func() bool {
		_, err := d.client().Get(d.t.Context(), d.name(), metav1.GetOptions{})
		return err != nil
	})
}

// create creates an object of the CRD. It retries until the API server serves
// the version.
func (d crd) create(version, namespace, name string) {
	d.t.Helper()
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": d.group + "/" + version, "kind": "Gadget", "metadata": map[string]any{"name": name},
	}}
	client := d.objects.Resource(schema.GroupVersionResource{
		Group: d.group, Version: version, Resource: d.plural,
	}).Namespace(namespace)
	eventually(d.t, "create "+name, func() bool {
		_, err := client.Create(d.t.Context(), object, metav1.CreateOptions{})
		return err == nil
	})
}

func (l *lab) testCRDsChange(t *testing.T) {
	t.Helper()
	ns := l.namespace(t)
	gadgets := crd{t, l.objects, ns + ".example.com", "gadgets"}
	gr := gadgets.name()
	w := runSet(t, l.config(t, &clientConn{}), watcher.Targets{DiscoverCRDs: true})

	gadgets.serve("v1alpha1", "v1beta1") // the stored version is preferred to a newer one
	w.reaches(t, gr, watcher.Watching)
	gadgets.create("v1beta1", ns, "a")
	eventually(t, "a", func() bool { return len(w.calls(gr, ns+"/a")) == 1 })
	if s, _ := w.state(gr); s.Configured || s.Resource.Kind != "Gadget" ||
		!slices.Equal(s.Resource.ShortNames, []string{"gd"}) {
		t.Errorf("state: got %+v, want a Gadget with the short name gd, not configured", s)
	}

	gadgets.serve("v1", "v1beta1", "v1alpha1")
	eventually(t, "v1", func() bool { return slices.Equal(w.opens(gr), []string{"v1alpha1", "v1"}) })
	gadgets.create("v1beta1", ns, "b")
	eventually(t, "b", func() bool { return len(w.calls(gr, ns+"/b")) == 1 })

	gadgets.serve("-v1", "v1beta1", "v1alpha1")
	eventually(t, "v1beta1", func() bool { return slices.Equal(w.opens(gr), []string{"v1alpha1", "v1", "v1beta1"}) })
	gadgets.create("v1beta1", ns, "c")
	eventually(t, "c", func() bool { return len(w.calls(gr, ns+"/c")) == 1 })

	gadgets.remove()
	for _, name := range []string{"a", "b", "c"} {
		eventually(t, "the deletion of "+name, func() bool {
			calls := w.calls(gr, ns+"/"+name)
			return calls[len(calls)-1] == "DELETED@?"
		})
	}
	eventually(t, "the end of its state", func() bool { _, ok := w.state(gr); return !ok })

	gadgets.serve("v1")
	gadgets.create("v1", ns, "d")
	eventually(t, "d", func() bool { return len(w.calls(gr, ns+"/d")) == 1 })
	if calls := w.calls(gr, ns+"/c"); len(calls) < 2 || calls[len(calls)-1] != "DELETED@?" {
		t.Errorf("calls about c after the CRD was created again: got %q, want a deletion at the end", calls)
	}
}

// The watch of the objects may be slower than the watch of the CRDs.
func (l *lab) testDeletionsAfterTheirCRD(t *testing.T) {
	t.Helper()
	ns := l.namespace(t)
	gadgets := crd{t, l.objects, ns + ".example.com", "gadgets"}
	gr := gadgets.name()
	connection := &clientConn{held: "gadgets", spied: "customresourcedefinitions"}
	w := runSet(t, l.config(t, connection), watcher.Targets{DiscoverCRDs: true})
	gadgets.serve("v1")
	w.reaches(t, gr, watcher.Watching)
	gadgets.create("v1", ns, "a")
	eventually(t, "a", func() bool { return len(w.calls(gr, ns+"/a")) == 1 })
	connection.gate.Lock()
	gadgets.remove()
	eventually(t, "the deletion in the watch of the CRDs", func() bool {
		return connection.hasRead(`"type":"DELETED"`, gr)
	})
	connection.gate.Unlock()
	eventually(t, "the end of its state", func() bool { _, ok := w.state(gr); return !ok })
	if calls := w.calls(gr, ns+"/a"); !slices.Equal(calls, []string{"ADDED@" + rvOf(calls[0]), "DELETED@?"}) {
		t.Errorf("calls about a: got %q, want a creation and a deletion", calls)
	}
}

// A CRD that is created again at once is another one. The watch of the former
// CRD's objects does not deliver the new objects.
func (l *lab) testCRDIsCreatedAgain(t *testing.T) {
	t.Helper()
	ns := l.namespace(t)
	gadgets := crd{t, l.objects, ns + ".example.com", "gadgets"}
	gr := gadgets.name()
	w := runSet(t, l.config(t, &clientConn{}), watcher.Targets{DiscoverCRDs: true})
	gadgets.serve("v1")
	w.reaches(t, gr, watcher.Watching)
	gadgets.remove()
	gadgets.serve("v1")
	eventually(t, "the second sink", func() bool { return len(w.opens(gr)) == 2 })
	gadgets.create("v1", ns, "a")
	eventually(t, "a", func() bool { return len(w.calls(gr, ns+"/a")) == 1 })
}

// A configured resource that is served later is found without watching the
// CRDs. It is found in another version if its own is not served any more.
func (l *lab) testConfiguredResourceIsServedLater(t *testing.T) {
	t.Helper()
	ns := l.namespace(t)
	gadgets := crd{t, l.objects, ns + ".example.com", "gadgets"}
	gr := gadgets.name()
	w := runSet(t, l.config(t, &clientConn{}), watcher.Targets{Resources: []history.Resource{
		{Version: "v1", Plural: "configmaps"}, {Group: gadgets.group, Version: "v2", Plural: "gadgets"},
	}})
	w.reaches(t, "configmaps", watcher.Watching)
	w.reaches(t, gr, watcher.Waiting)
	gadgets.serve("v1", "v2")
	w.reaches(t, gr, watcher.Watching)
	gadgets.create("v1", ns, "a")
	eventually(t, "a", func() bool { return len(w.calls(gr, ns+"/a")) == 1 })
	gadgets.serve("v1", "-v2")
	eventually(t, "v1", func() bool { return slices.Equal(w.opens(gr), []string{"v2", "v1"}) })
	gadgets.create("v1", ns, "b")
	eventually(t, "b", func() bool { return len(w.calls(gr, ns+"/b")) == 1 })
}
