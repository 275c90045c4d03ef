package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/local"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

var (
	deployments = flag.Int("recorded-deployments", 8, "Deployments of the test of recordings")
	churn       = flag.Duration("recorded-time", 0, "how long the Deployments are changed; 0: each of them twice")
)

// patience bounds every wait. It is far longer than any of them takes.
const patience = 2 * time.Minute

// lab is a cluster for the tests of recordings.
type lab struct {
	*clustertest.Cluster

	rounds int // of changes so far

	config *rest.Config
	http   *http.Client
	kube   *kubernetes.Clientset
	meta   metadata.Interface
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{Cluster: clustertest.New(t, clustertest.Options{All: true, Nodes: 3})}
	l.config = l.Config()
	var err error
	if l.http, err = rest.HTTPClientFor(l.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(l.http.Transport) })
	if l.kube, err = kubernetes.NewForConfigAndClient(l.config, l.http); err != nil {
		t.Fatal(err)
	}
	if l.meta, err = metadata.NewForConfigAndClient(metadata.ConfigFor(l.config), l.http); err != nil {
		t.Fatal(err)
	}
	return l
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() (bool, string)) {
	t.Helper()
	var state string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if ok, state = holds(); ok {
			return
		}
	}
	t.Fatalf("%s: got %s after %v", what, state, patience)
}

// namespace creates a namespace with Deployments, and waits for their pods.
func (l *lab) namespace(t *testing.T, name string, count int) {
	t.Helper()
	if _, err := l.kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	replicas := int32(2)
	for i := range count {
		labels := map[string]string{"app": deploymentName(i)}
		if _, err := l.kube.AppsV1().Deployments(name).Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: deploymentName(i), Labels: labels},
			Spec: appsv1.DeploymentSpec{
				Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec: corev1.PodSpec{
						Containers: []corev1.Container{{Name: "app", Image: "registry/app:1.0"}},
					},
				},
			},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l.ready(t, name, count)
}

func deploymentName(i int) string { return fmt.Sprintf("app-%02d", i) }

// ready waits until the Deployments of a namespace are.
func (l *lab) ready(t *testing.T, namespace string, count int) {
	t.Helper()
	eventually(t, "the Deployments of "+namespace+" are ready", func() (bool, string) {
		list, err := l.kube.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return false, err.Error()
		}
		n := 0
		for i := range list.Items {
			d := &list.Items[i]
			if d.Status.ObservedGeneration == d.Generation && d.Status.ReadyReplicas == *d.Spec.Replicas &&
				d.Status.UpdatedReplicas == *d.Spec.Replicas {
				n++
			}
		}
		return n == count, fmt.Sprintf("%d of %d", n, count)
	})
}

// change rolls or scales each Deployment, writes a ConfigMap and deletes
// another one.
func (l *lab) change(t *testing.T, namespace string, count int) (round int) {
	t.Helper()
	round = l.rounds
	l.rounds++
	for i := range count {
		container := fmt.Sprintf(`{"name":"app","image":"registry/app:1.%d"}`, round+1)
		patch := `{"spec":{"template":{"spec":{"containers":[` + container + `]}}}}`
		if (round+i)%2 == 1 {
			patch = fmt.Sprintf(`{"spec":{"replicas":%d}}`, 1+(round+i)%3)
		}
		if _, err := l.kube.AppsV1().Deployments(namespace).Patch(t.Context(), deploymentName(i),
			types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	objects := l.kube.CoreV1().ConfigMaps(namespace)
	name := fmt.Sprint("round-", round)
	if _, err := objects.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"round": name},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := objects.Delete(t.Context(), fmt.Sprint("round-", round-1), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return round
}

// user returns the configuration of a user who may list and watch resources in
// one namespace only.
func (l *lab) user(t *testing.T, namespace string, rules ...rbacv1.PolicyRule) *rest.Config {
	t.Helper()
	name := "reader-of-" + namespace
	if _, err := l.kube.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.kube.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: name}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg := l.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"system:authenticated"}}
	return cfg
}

// compared are the resources whose record is compared with a plain watch.
func compared() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Version: "v1", Resource: "pods"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "events"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "replicasets"},
	}
}

// truth is what plain watches deliver.
type truth struct {
	l         *lab
	namespace string
	since     map[schema.GroupResource]string // the resourceVersions that the watches begin at

	mu      sync.Mutex // guards the fields below
	changes map[string]bool
	newest  map[types.UID]string // resourceVersions; "" after a deletion
	failed  error
}

// changeOf describes a change so that a record and a watch event are equal.
func changeOf(gr schema.GroupResource, verb, namespace, name string, uid types.UID, rv string) string {
	return fmt.Sprintf("%s %s %s/%s %s @%s", verb, gr, namespace, name, uid, rv)
}

// watches begins to watch. The watches end with the test.
func (l *lab) watches(t *testing.T, namespace string) *truth {
	t.Helper()
	h := &truth{
		l: l, namespace: namespace, since: map[schema.GroupResource]string{},
		changes: map[string]bool{}, newest: map[types.UID]string{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, gvr := range compared() {
		client := l.meta.Resource(gvr).Namespace(namespace)
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		h.since[gvr.GroupResource()] = list.ResourceVersion
		w, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			defer w.Stop()
			for e := range w.ResultChan() {
				h.add(gvr.GroupResource(), e)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			if ctx.Err() == nil {
				h.failed = fmt.Errorf("the watch of %s ended", gvr.Resource)
			}
		})
	}
	return h
}

// add adds a watch event.
func (h *truth) add(gr schema.GroupResource, e watch.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := e.Object.(*metav1.PartialObjectMetadata)
	if !ok {
		h.failed = fmt.Errorf("watch event: %v", e)
		return
	}
	verb := map[watch.EventType]string{watch.Added: "create", watch.Modified: "update", watch.Deleted: "delete"}[e.Type]
	h.changes[changeOf(gr, verb, o.Namespace, o.Name, o.UID, o.ResourceVersion)] = true
	h.newest[o.UID] = o.ResourceVersion
	if verb == "delete" {
		h.newest[o.UID] = ""
	}
}

// settle waits until the watches have delivered everything that exists now. It
// returns the resourceVersions of that time.
func (h *truth) settle(t *testing.T) (until map[schema.GroupResource]string) {
	t.Helper()
	until = map[schema.GroupResource]string{}
	for _, gvr := range compared() {
		list, err := h.l.meta.Resource(gvr).Namespace(h.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		until[gvr.GroupResource()] = list.ResourceVersion
		exists := map[types.UID]string{}
		for _, o := range list.Items {
			exists[o.UID] = o.ResourceVersion
		}
		eventually(t, "the plain watch of "+gvr.Resource, func() (bool, string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.failed != nil {
				t.Fatal(h.failed)
			}
			for uid, rv := range exists {
				seen, ok := h.newest[uid]
				if history.Older(h.since[gvr.GroupResource()], rv) && (!ok || seen != "" && history.Older(seen, rv)) {
					return false, fmt.Sprintf("%s at %s, want %s", uid, seen, rv)
				}
			}
			return true, ""
		})
	}
	return until
}

// compare compares the changes of a recording with those of the watches. It
// returns their number.
func (h *truth) compare(t *testing.T, r *archive.Reader, until map[schema.GroupResource]string) (n int) {
	t.Helper()
	within := func(gr schema.GroupResource, rv string) bool {
		return history.Older(h.since[gr], rv) && !history.Older(until[gr], rv)
	}
	recorded := map[string]bool{}
	for rec, err := range r.Scan(t.Context(), history.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		gr := rec.Ref.GroupResource()
		if h.since[gr] == "" || !within(gr, rec.RV) {
			continue
		}
		c := changeOf(gr, rec.Verb.String(), rec.Ref.Namespace, rec.Ref.Name, rec.Ref.UID, rec.RV)
		if recorded[c] || rec.Initial || !rec.InferredSince.IsZero() {
			t.Errorf("%s: got it twice or inferred, want it once and observed", c)
		}
		recorded[c] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.changes {
		gr, rv := partsOf(c)
		if within(gr, rv) && !recorded[c] {
			t.Errorf("%s: got no record, want one", c)
		}
	}
	for c := range recorded {
		if !h.changes[c] {
			t.Errorf("%s: got a record, which the API server did not report", c)
		}
	}
	return len(recorded)
}

// partsOf returns the resource and the resourceVersion of a change.
func partsOf(change string) (schema.GroupResource, string) {
	words := strings.Fields(change)
	return schema.ParseGroupResource(words[1]), strings.TrimPrefix(words[len(words)-1], "@")
}

// record begins a recording, which is closed when the test ends.
func (l *lab) record(t *testing.T, cfg *rest.Config, o local.RecordOptions) *local.Recorder {
	t.Helper()
	o.File, o.TempDir, o.MadeBy = filepath.Join(t.TempDir(), "recording"), t.TempDir(), "a test"
	o.Logger = slog.New(slog.NewTextHandler(clustertest.NewLogbook(t), nil))
	var last string
	o.Progress = func(observed, total int) { last = fmt.Sprintf("%d of %d", observed, total) }
	r, err := local.Record(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(o.TempDir, "*")); err != nil || len(left) > 0 {
			t.Errorf("got the temporary files %v, error %v, want none left", left, err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Observed(ctx); err != nil {
		t.Fatal(err)
	}
	if a, b, ok := strings.Cut(last, " of "); !ok || a != b {
		t.Errorf("progress: got %q at the end, want all", last)
	}
	return r
}

// open opens a recording until the test ends.
func open(t *testing.T, file string) *archive.Reader {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := archive.Open(t.Context(), f, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestRecord compares recordings with plain watches.
func TestRecord(t *testing.T) {
	l := newLab(t)
	l.namespace(t, "shop", *deployments)
	l.namespace(t, "other", 2)
	t.Run("all namespaces", l.testAllNamespaces)
	t.Run("one namespace", l.testOneNamespace)
	t.Run("interrupted", l.testInterrupted)
	t.Run("refused", l.testRefused)
	t.Run("caught up", l.testCaughtUp)
	t.Run("sources", l.testSources)
	t.Run("outage", l.testOutage)
}

// run changes the Deployments while they are recorded, and compares the result.
func (l *lab) run(t *testing.T, r *local.Recorder, namespace string) (*archive.Reader, local.Summary) {
	t.Helper()
	h := l.watches(t, namespace)
	began := time.Now()
	for round := 0; round < 2 || time.Since(began) < *churn; round++ {
		l.change(t, "shop", *deployments)
		l.ready(t, "shop", *deployments)
		l.change(t, "other", 2)
	}
	until := h.settle(t)
	if err := r.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := r.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	reader := open(t, r.File())
	n := h.compare(t, reader, until)
	t.Logf("%d changes compared; the recording has %d changes and %d initial versions of %d resources in %d bytes; "+
		"resident memory %s", n, s.Changes(), s.Initial, s.Resources, s.Bytes, resident(t))
	if n < 10**deployments {
		t.Errorf("got %d changes, want at least %d", n, 10**deployments)
	}
	if interrupted, _ := reader.Interrupted(); interrupted || reader.Counts().Versions != s.Versions || s.Gaps != 0 {
		t.Errorf("got %+v, interrupted %t, want the complete summary %+v without gaps", reader.Counts(), interrupted, s)
	}
	return reader, s
}

// resident returns the memory of this process, if the system shows it.
func resident(t *testing.T) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(size)
		}
	}
	return "unknown"
}

func (l *lab) testAllNamespaces(t *testing.T) {
	r := l.record(t, l.Config(), local.RecordOptions{})
	reader, s := l.run(t, r, "")
	system, err := l.kube.CoreV1().Namespaces().Get(t.Context(), history.ClusterNamespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := reader.Header().Cluster; got != system.UID {
		t.Errorf("got the cluster %q, want %q", got, system.UID)
	}
	if len(s.Refused) > 0 || reader.Header().Watched != "" {
		t.Errorf("got %v refused and the namespace %q, want none", s.Refused, reader.Header().Watched)
	}
	if allowed := 500 << 10 * (1 + s.Changes()/1000); s.Bytes > allowed {
		t.Errorf("got %d bytes for %d changes, want at most %d", s.Bytes, s.Changes(), allowed)
	}
}

// readable permits to list and watch resources.
func readable(group string, plurals ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: plurals, Verbs: []string{"list", "watch"}}
}

func (l *lab) testOneNamespace(t *testing.T) {
	cfg := l.user(t, "shop",
		readable("", "pods", "configmaps", "events"), readable("apps", "deployments", "replicasets"))
	_, err := local.Record(t.Context(), cfg, local.RecordOptions{File: filepath.Join(t.TempDir(), "all")})
	if scope, ok := errors.AsType[*local.ScopeError](err); !ok || scope.Namespace != "" || !apierrors.IsForbidden(err) {
		t.Errorf("all namespaces: got error %v, want a ScopeError", err)
	}
	r := l.record(t, cfg, local.RecordOptions{Namespace: "shop"})
	reader, s := l.run(t, r, "shop")
	for rec, err := range reader.Scan(t.Context(), history.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		if rec.Ref.Namespace != "shop" {
			t.Errorf("got a record of %v, want only namespace shop", rec.Ref)
		}
	}
	h := reader.Header()
	for _, refused := range []string{"secrets", "nodes", "services", "statefulsets.apps"} {
		if !slices.ContainsFunc(s.Refused, func(r local.Refusal) bool {
			return r.Resource.GroupResource().String() == refused && r.Reason == history.GapForbidden
		}) {
			t.Errorf("got %v refused, want %s", s.Refused, refused)
		}
		if !slices.ContainsFunc(h.Unrecorded, func(u history.UnrecordedResource) bool {
			return u.Resource.GroupResource().String() == refused && u.Reason == string(history.GapForbidden)
		}) {
			t.Errorf("got %v unrecorded in the file, want %s", h.Unrecorded, refused)
		}
	}
	if s.Resources != len(compared()) || h.Watched != "shop" {
		t.Errorf("got %d resources of %q, want %d of shop", s.Resources, h.Watched, len(compared()))
	}
}

// When the recorder has caught up, everything that was written before is
// recorded, also if it was deleted at once.
func (l *lab) testCaughtUp(t *testing.T) {
	r := l.record(t, l.Config(), local.RecordOptions{})
	objects := l.kube.CoreV1().ConfigMaps("other")
	for round := range 4 {
		want := map[string]int{}
		for i := range 30 {
			name := fmt.Sprintf("fast-%d-%d", round, i)
			if _, err := objects.Create(t.Context(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: name},
			}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			want[name] = 1
			if i%3 > 0 {
				continue
			}
			if err := objects.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			want[name] = 2
		}
		if err := r.CaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, e := range events(t, r, "namespace=other&resourceType=configmaps&limit=1000") {
			if strings.HasPrefix(e.ResourceName, fmt.Sprintf("fast-%d-", round)) {
				got[e.ResourceName]++
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("round %d: got %v, want %v", round, got, want)
		}
	}
}

// A journal of an outage has gaps that are open until the watches go on.
func (l *lab) testOutage(t *testing.T) {
	r := l.record(t, l.Config(), local.RecordOptions{})
	gaps := func() (open int, state string) {
		f, err := os.Open(r.File())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		reader, err := archive.Open(t.Context(), f, t.TempDir(), nil)
		if err != nil {
			return -1, err.Error()
		}
		defer reader.Close()
		all, err := reader.Gaps(t.Context(), nil, time.Time{}, time.Time{})
		for _, g := range all {
			if g.Open() && g.Resource == "configmaps" {
				open++
			}
		}
		return open, fmt.Sprint(all, err)
	}
	stopped := time.Now()
	if err := l.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the journal has a gap", func() (bool, string) {
		open, state := gaps()
		return open == 1, state
	})
	if err := r.CaughtUp(t.Context()); err == nil {
		t.Error("without an API server: got no error, want one")
	}
	if err := l.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "caught up again", func() (bool, string) {
		err := r.CaughtUp(t.Context())
		return err == nil, fmt.Sprint(err)
	})
	eventually(t, "the journal has no open gap", func() (bool, string) {
		open, state := gaps()
		return open == 0, state
	})
	if s, err := r.Finish(t.Context()); err != nil {
		t.Fatalf("got %+v, error %v, want no error", s, err)
	}
	// An API server that has just started may refuse to resume. The lists that
	// follow are gaps of the outage.
	found, err := open(t, r.File()).Gaps(t.Context(), nil, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range found {
		if g.Open() || g.End.Before(stopped) {
			t.Errorf("got the gap %+v, want one that has ended, after %s", g, stopped)
		}
	}
}

// events returns the answer of a recorder's REST API.
func events(t *testing.T, r *local.Recorder, query string) []v1.Event {
	t.Helper()
	answer := httptest.NewRecorder()
	path := "http://localhost" + v1.EventsPath + "?empty=200&" + query
	r.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	var page []v1.Event
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("got %d %s, error %v, want events", answer.Code, answer.Body, err)
	}
	return page
}

// The file is copied while it is recorded, as a kill would leave it.
func (l *lab) testInterrupted(t *testing.T) {
	r := l.record(t, l.Config(), local.RecordOptions{})
	round := l.change(t, "other", 2)
	if err := r.CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	eventually(t, "the journal has the change", func() (bool, string) {
		b, err := os.ReadFile(r.File())
		if err != nil || len(b) == 0 {
			return false, fmt.Sprint(err)
		}
		if err := os.WriteFile(copied, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(copied)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		reader, err := archive.Open(t.Context(), f, t.TempDir(), nil)
		if err != nil {
			return false, err.Error()
		}
		defer reader.Close()
		found := 0
		for rec, err := range reader.Scan(t.Context(), history.Scan{
			Filter: history.Filter{Name: fmt.Sprint("round-", round)},
		}) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Verb == history.Create && !rec.Initial {
				found++
			}
		}
		interrupted, _ := reader.Interrupted()
		return found == 1 && interrupted, fmt.Sprintf("%d records, interrupted %t", found, interrupted)
	})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	left := open(t, r.File())
	if interrupted, unusable := left.Interrupted(); !interrupted || unusable != 0 {
		t.Errorf("after Close: got interrupted %t, %d bytes unusable, want a journal and 0", interrupted, unusable)
	}
	existing := local.RecordOptions{File: r.File(), TempDir: t.TempDir()}
	if _, err := local.Record(t.Context(), l.Config(), existing); err == nil {
		t.Error("an existing file: got no error, want one")
	}
	existing.Overwrite = true
	again, err := local.Record(t.Context(), l.Config(), existing)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Observed(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Finish(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if interrupted, _ := open(t, r.File()).Interrupted(); interrupted {
		t.Error("overwritten: got a journal, want an export")
	}
}

// A user without rights in a namespace can't record it. No file is left.
func (l *lab) testRefused(t *testing.T) {
	dir := t.TempDir()
	cfg := l.user(t, "other", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"},
	})
	_, err := local.Record(t.Context(), cfg, local.RecordOptions{File: filepath.Join(dir, "a"), Namespace: "shop"})
	if scope, ok := errors.AsType[*local.ScopeError](err); !ok || scope.Namespace != "shop" {
		t.Errorf("no rights: got error %v, want a ScopeError", err)
	}
	r, err := local.Record(t.Context(), cfg, local.RecordOptions{
		File: filepath.Join(dir, "b"), Namespace: "other", TempDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Observed(t.Context()); !errors.As(err, new(*local.ScopeError)) {
		t.Errorf("no right to watch: got error %v, want a ScopeError", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestRecord_RemovesStaleDirectories needs no cluster: the directories are
// removed before the cluster is asked for anything but pods.
func TestRecord_RemovesStaleDirectories(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{
		"watchhistory-record-1", "watchhistory-record-2", "watchhistory-export-3", "watchhistory-x",
	} {
		if err := os.MkdirAll(filepath.Join(dir, name, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		if name == "watchhistory-record-2" {
			continue
		}
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	used := filepath.Join(dir, "watchhistory-record-4")
	s, err := store.Open(used, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Chtimes(used, old, old); err != nil {
		t.Fatal(err)
	}
	local.RemoveStale(t.Context(), dir, slog.New(slog.DiscardHandler))
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	want := []string{filepath.Join(dir, "watchhistory-record-2"), used, filepath.Join(dir, "watchhistory-x")}
	if err != nil || !slices.Equal(left, want) {
		t.Errorf("got %v, error %v, want %v", left, err, want)
	}
}
