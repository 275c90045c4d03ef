package kube_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// Ports of the recorder's pod.
const (
	servedPort  = 8080 // forwarded to a recorder
	refusedPort = 8081 // forwarded to a closed port
)

// site is a real cluster with a recorder. The recorder's pod is simulated:
// connections that are forwarded to it reach this process.
type site struct {
	*clustertest.Cluster
	api      *recordertest.API // of the recorder
	core     corev1client.CoreV1Interface
	node     string
	recorder *httptest.Server
}

func newSite(t *testing.T) *site {
	t.Helper()
	recorder := newRecorder(t)
	s := httptest.NewServer(recorder)
	t.Cleanup(s.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	nowhere := closed.Listener.Addr().String()
	closed.Close()
	cluster := clustertest.New(t, clustertest.Options{
		Components: []string{"etcd", "kube-apiserver", "kwok"},
		Nodes:      1,
		Forwards:   map[int]string{servedPort: s.Listener.Addr().String(), refusedPort: nowhere},
	})
	web, err := rest.HTTPClientFor(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(web.Transport) })
	core, err := corev1client.NewForConfigAndClient(cluster.Config(), web)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := core.Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	return &site{Cluster: cluster, api: recorder, core: core, node: nodes.Items[0].Name, recorder: s}
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (s *site) namespace(t *testing.T, name string) {
	t.Helper()
	must[*corev1.Namespace](t)(s.core.Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}))
}

func labels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "watchhistory-recorder"}
}

func (s *site) service(t *testing.T, namespace, name string, target intstr.IntOrString) {
	t.Helper()
	must[*corev1.Service](t)(s.core.Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels()},
		Spec: corev1.ServiceSpec{Selector: labels(), Ports: []corev1.ServicePort{
			{Name: "metrics", Port: 9090}, {Name: "http", Port: 80, TargetPort: target},
		}},
	}, metav1.CreateOptions{}))
}

func (s *site) pod(t *testing.T, namespace, name string) {
	t.Helper()
	s.podAt(t, namespace, name, servedPort)
}

// podAt creates a pod whose port named api has a number, and waits until it is
// ready.
func (s *site) podAt(t *testing.T, namespace, name string, port int32, finalizers ...string) {
	t.Helper()
	ports := []corev1.ContainerPort{{Name: "api", ContainerPort: port}}
	if port != refusedPort {
		ports = append(ports, corev1.ContainerPort{Name: "broken", ContainerPort: refusedPort})
	}
	must[*corev1.Pod](t)(s.core.Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels(), Finalizers: finalizers},
		Spec: corev1.PodSpec{
			NodeName:   s.node,
			Containers: []corev1.Container{{Name: "recorder", Image: "watchhistory", Ports: ports}},
		},
	}, metav1.CreateOptions{}))
	s.ready(t, namespace, name)
}

// ready waits until a pod is ready.
func (s *site) ready(t *testing.T, namespace, name string) {
	t.Helper()
	ready := func(ctx context.Context) (bool, error) {
		pod, err := s.core.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, ready)
	if err != nil {
		t.Fatalf("pod %s: got error %v, want it to become ready", name, err)
	}
}

// as returns the cluster's configuration for a user without permissions.
func (s *site) as(user string) *rest.Config {
	cfg := s.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	return cfg
}

func (s *site) apply(t *testing.T, manifest string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	must[string](t)(s.Kubectl(t.Context(), "apply", "-f", file))
}

func (s *site) connect(t *testing.T, o kube.Options) *kube.Client {
	t.Helper()
	if o.RESTConfig == nil {
		o.RESTConfig = s.Config()
	}
	return must[*kube.Client](t)(connect(t, o))
}

// TestConnect_RealCluster runs its parts in order on one cluster. Each part
// uses the objects that the parts before it created.
func TestConnect_RealCluster(t *testing.T) {
	var mu sync.Mutex
	var logged []string
	// Not restored: goroutines of the libraries may log after this test.
	klog.SetLogger(funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, prefix+" "+args)
	}, funcr.Options{}))
	s := newSite(t)

	t.Run("no recorder", s.testNoRecorder)
	t.Run("no ready pod", s.testNoReadyPod)
	t.Run("one tunnel for all", s.testOneTunnel)
	t.Run("silent connections", s.testSilentConnections)
	t.Run("found elsewhere", s.testFoundElsewhere)
	t.Run("refused", s.testRefused)
	t.Run("forbidden", s.testForbidden)
	t.Run("the proxy is the last resort", s.testProxy)
	t.Run("API server restarts", s.testRestart)
	t.Run("recorder goes away", s.testReplaced)
	t.Run("stream", s.testStream)
	t.Run("pod is not ready", s.testNotReady)
	t.Run("pod crashes", s.testCrashing)
	t.Run("pods without a Service", s.testPodsAlone)
	t.Run("Service without a selector", s.testNoSelector)
	t.Run("no API server", s.testNoAPIServer)
	mu.Lock()
	defer mu.Unlock()
	if len(logged) > 0 {
		t.Errorf("logged to stderr: got %q, want nothing", logged)
	}
}

func (s *site) testNoRecorder(t *testing.T) {
	_, err := connect(t, kube.Options{RESTConfig: s.Config()})
	wantError(t, err, history.NotFound, "no watchhistory recorder found in the cluster")
	wantReason(t, err, kube.NotInstalled)
	_, err = connect(t, kube.Options{RESTConfig: s.Config(), Namespace: "shop"})
	wantError(t, err, history.NotFound, "no watchhistory recorder found in namespace shop")
	wantReason(t, err, kube.NotInstalled)
}

func (s *site) testNoReadyPod(t *testing.T) {
	s.service(t, "watchhistory", "watchhistory-recorder", intstr.FromString("api"))
	_, err := connect(t, kube.Options{RESTConfig: s.Config()})
	wantError(t, err, history.Unavailable, "watchhistory/watchhistory-recorder has no pods")
	wantReason(t, err, kube.NoPods)

	pods := s.core.Pods("watchhistory")
	must[*corev1.Pod](t)(pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "unscheduled", Labels: labels()},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "recorder", Image: "watchhistory"}}},
	}, metav1.CreateOptions{}))
	_, err = connect(t, kube.Options{RESTConfig: s.Config()})
	wantError(t, err, history.Unavailable, "pod watchhistory/unscheduled is not running: its phase is Pending")
	wantEvidence(t, err, kube.Evidence{Pod: "unscheduled"})
}

func (s *site) testOneTunnel(t *testing.T) {
	s.pod(t, "watchhistory", "recorder-0")
	var tunnels atomic.Int64
	cfg := s.Config()
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/portforward") {
				tunnels.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	c := s.connect(t, kube.Options{RESTConfig: cfg})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			page, err := c.Events(t.Context(), client.EventsQuery{Limit: i%5 + 1})
			if err != nil || len(page.Events) != i%5+1 || page.Total != records {
				t.Errorf("request %d: got %+v, error %v, want %d of %d events", i, page, err, i%5+1, records)
			}
		})
	}
	all.Wait()
	if n := tunnels.Load(); n != 1 {
		t.Errorf("tunnels: got %d, want 1", n)
	}
}

// testSilentConnections closes idle connections at the recorder. The simulated
// kubelet does not report that, and accepts further data.
func (s *site) testSilentConnections(t *testing.T) {
	c := s.connect(t, kube.Options{Options: client.Options{Timeout: 20 * time.Second}})
	for range 2 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := c.Health(t.Context()); err != nil {
					t.Errorf("health: got error %v, want none", err)
				}
			})
		}
		all.Wait()
		s.recorder.CloseClientConnections()
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("health after the connections were closed: got error %v, want none", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *site) testFoundElsewhere(t *testing.T) {
	s.namespace(t, "audit")
	s.service(t, "audit", "history", intstr.FromInt32(servedPort))
	s.pod(t, "audit", "history-0")
	in := func(namespace string) string {
		return s.connect(t, kube.Options{Namespace: namespace}).Target()
	}
	if got, want := in(""), "recorder watchhistory/watchhistory-recorder"; got != want {
		t.Errorf("target by default: got %q, want %q", got, want)
	}
	if got, want := in("audit"), "recorder audit/history"; got != want {
		t.Errorf("target in audit: got %q, want %q", got, want)
	}
	if err := s.connect(t, kube.Options{Namespace: "audit"}).Health(t.Context()); err != nil {
		t.Errorf("health in audit: got error %v, want none", err)
	}
	s.service(t, "audit", "another", intstr.FromInt32(servedPort)) // of the same pods
	if got, want := in("audit"), "recorder audit/another"; got != want {
		t.Errorf("target in audit, with two Services of the same pods: got %q, want %q", got, want)
	}
	must[*corev1.Service](t)(s.core.Services("audit").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "stranger", Labels: labels()},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "another"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}, metav1.CreateOptions{}))
	_, err := connect(t, kube.Options{RESTConfig: s.Config(), Namespace: "audit"})
	wantError(t, err, history.Invalid, "several", "audit/another, audit/history, audit/stranger")
	wantReason(t, err, kube.Ambiguous)
}

func (s *site) testRefused(t *testing.T) {
	s.namespace(t, "broken")
	s.service(t, "broken", "recorder", intstr.FromString("broken"))
	s.pod(t, "broken", "recorder-0")
	c := s.connect(t, kube.Options{Namespace: "broken"})
	for range 3 { // a refused connection has no effect on the next one
		err := c.Health(t.Context())
		wantError(t, err, history.Unavailable, "recorder broken/recorder does not accept connections in its pod",
			"refused")
		wantReason(t, err, kube.Unreachable)
	}
	s.namespace(t, "unnamed")
	s.service(t, "unnamed", "recorder", intstr.FromString("gopher"))
	s.pod(t, "unnamed", "recorder-0")
	_, err := connect(t, kube.Options{RESTConfig: s.Config(), Namespace: "unnamed"})
	wantError(t, err, history.NotFound, "has no port named gopher")
	wantReason(t, err, kube.WrongService)
}

// roleManifest returns the manifest of the role that an error names.
func roleManifest(t *testing.T, err error) string {
	t.Helper()
	return wantReason(t, err, kube.PermissionDenied).Role.Manifest()
}

// wantEvidence checks the evidence of an error.
func wantEvidence(t *testing.T, err error, want kube.Evidence) {
	t.Helper()
	if got := wantReason(t, err, kube.PodFailed).Evidence; got != want {
		t.Errorf("evidence of %v: got %+v, want %+v", err, got, want)
	}
}

func (s *site) testForbidden(t *testing.T) {
	jane := kube.Options{RESTConfig: s.as("jane"), Mode: kube.PortForward}
	_, err := connect(t, jane)
	wantError(t, err, history.Forbidden, "you may not look for the recorder's Service",
		`User "jane" cannot list resource "services"`, `in the namespace "watchhistory"`)

	manifest := roleManifest(t, err)
	s.apply(t, strings.ReplaceAll(manifest, "pods/portforward", "nothing"))
	_, err = connect(t, jane)
	wantError(t, err, history.Forbidden, "you may not forward a port to pod watchhistory/recorder-0",
		`User "jane" cannot get resource "pods/portforward"`)
	if again := roleManifest(t, err); again != manifest {
		t.Errorf("Role of the second denial: got\n%s\nwant\n%s", again, manifest)
	}

	s.apply(t, strings.ReplaceAll(manifest, "[get, create]", "[get]"))
	_, err = connect(t, jane)
	wantError(t, err, history.Forbidden, `User "jane" cannot create resource "pods/portforward"`)

	s.apply(t, manifest)
	if err = s.connect(t, jane).Health(t.Context()); err != nil {
		t.Errorf("health with the suggested Role: got error %v, want none", err)
	}
}

// testProxy ends at the API server: the pod's address is not reachable from it.
func (s *site) testProxy(t *testing.T) {
	s.apply(t, `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: joe, namespace: watchhistory}
rules:
- {apiGroups: [""], resources: [services, pods], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: joe, namespace: watchhistory}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: joe}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: joe}
`)
	asked := make(chan string, 1)
	cfg := s.as("joe")
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/health") {
				asked <- r.URL.Path
			}
			return next.RoundTrip(r)
		})
	})
	c := s.connect(t, kube.Options{RESTConfig: cfg})
	err := c.Health(t.Context())
	wantError(t, err, history.Forbidden, "forward a port")
	if got, want := roleManifest(t, err), "pods/portforward], verbs: [get, create]"; !strings.Contains(got, want) {
		t.Errorf("role: got\n%s\nwant one with %q", got, want)
	}
	want := "/api/v1/namespaces/watchhistory/services/http:watchhistory-recorder:http/proxy/health"
	if got := <-asked; got != want {
		t.Errorf("path of the proxy: got %q, want %q", got, want)
	}
	c = s.connect(t, kube.Options{RESTConfig: cfg, Mode: kube.Proxy})
	err = c.Health(t.Context())
	wantError(t, err, history.Forbidden, "through the API server's proxy", `cannot get resource "services/proxy"`)
	if got, want := roleManifest(t, err), "resources: [services/proxy], verbs: [get]"; !strings.Contains(got, want) {
		t.Errorf("role: got\n%s\nwant one with %q", got, want)
	}
}

func (s *site) testRestart(t *testing.T) {
	c := s.connect(t, kube.Options{})
	if err := c.Health(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("health through a new tunnel: got error %v, want none", err)
	}
}

// testReplaced lets the pod that is chosen first refuse connections, so that
// the test can see which one is used.
func (s *site) testReplaced(t *testing.T) {
	s.namespace(t, "moving")
	s.service(t, "moving", "recorder", intstr.FromString("api"))
	s.podAt(t, "moving", "recorder-0", refusedPort, "watchhistory.io/lingers")
	c := s.connect(t, kube.Options{Namespace: "moving"})
	wantError(t, c.Health(t.Context()), history.Unavailable, "does not accept connections in its pod")

	s.podAt(t, "moving", "recorder-1", servedPort)
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("the same client, with a pod that accepts connections: got error %v, want none", err)
	}
	if err := s.connect(t, kube.Options{Namespace: "moving"}).Health(t.Context()); err != nil {
		t.Errorf("another client, with a pod that accepts connections: got error %v, want none", err)
	}
	if err := s.core.Pods("moving").Delete(t.Context(), "recorder-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	lingering := must[*corev1.Pod](t)(s.core.Pods("moving").Get(t.Context(), "recorder-0", metav1.GetOptions{}))
	if lingering.Status.Phase != corev1.PodRunning {
		t.Errorf("phase of the deleted pod: got %s, want %s: the next check proves nothing",
			lingering.Status.Phase, corev1.PodRunning)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("the same client, with the newest pod being deleted: got error %v, want none", err)
	}
}

// testStream follows a recorder while the API server restarts, which breaks the
// tunnel, and while its only pod refuses connections for a while.
func (s *site) testStream(t *testing.T) {
	s.namespace(t, "stream")
	s.service(t, "stream", "recorder", intstr.FromString("api"))
	s.pod(t, "stream", "recorder-0")
	c := s.connect(t, kube.Options{Namespace: "stream", Options: client.Options{Timeout: 5 * time.Second}})
	revision, connected := uint64(0), 0
	add := func() {
		t.Helper()
		batch := &history.Batch{Versions: []history.NewVersion{newVersion()}}
		if err := s.api.Record(t.Context(), nil, batch); err != nil {
			t.Fatal(err)
		}
	}
	for u, err := range c.Watch(t.Context(), client.EventsQuery{Start: time.Unix(0, 0), Summary: true}) {
		if err != nil {
			t.Fatal(err)
		}
		switch u.Type {
		case client.Connected:
			if connected++; connected > 1 {
				add()
			}
		case client.Recorded:
			if revision++; u.Event.Revision != revision {
				t.Fatalf("got revision %d, want %d", u.Event.Revision, revision)
			}
		}
		switch {
		case u.Type == client.Recorded && revision == records:
			if err := s.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
				t.Fatal(err)
			}
		case u.Type == client.Recorded && revision == records+1:
			s.podAt(t, "stream", "recorder-1", refusedPort) // the newest pod is used first
			if err := s.core.Pods("stream").Delete(t.Context(), "recorder-0", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := s.RestartComponent(t.Context(), clustertest.APIServer); err != nil {
				t.Fatal(err)
			}
		case u.Type == client.Disconnected && revision == records+1:
			if err := s.core.Pods("stream").Delete(t.Context(), "recorder-1", metav1.DeleteOptions{}); err != nil &&
				!apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			if _, err := s.core.Pods("stream").Get(t.Context(), "recorder-2", metav1.GetOptions{}); err != nil {
				s.pod(t, "stream", "recorder-2")
			}
		}
		if revision == records+2 {
			break
		}
	}
	if connected != 3 {
		t.Errorf("got %d connections, want 3", connected)
	}
}

// status sets the status of a pod, as a kubelet does.
func (s *site) status(t *testing.T, namespace, name string, set func(*corev1.PodStatus)) {
	t.Helper()
	pod := must[*corev1.Pod](t)(s.core.Pods(namespace).Get(t.Context(), name, metav1.GetOptions{}))
	set(&pod.Status)
	pod.ResourceVersion = ""
	must[*corev1.Pod](t)(s.core.Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}))
}

// notReady is the status while a readiness probe fails.
func notReady(status *corev1.PodStatus) {
	status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: "containers with unready status: [recorder]",
	}}
	for i := range status.ContainerStatuses {
		status.ContainerStatuses[i].Ready = false
	}
}

func crashing(status *corev1.PodStatus) {
	notReady(status)
	status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "recorder",
		State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 5m0s"},
		},
		LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137},
		},
	}}
}

// testNotReady: a recorder that is not ready is used if there is no other.
func (s *site) testNotReady(t *testing.T) {
	s.namespace(t, "busy")
	s.service(t, "busy", "recorder", intstr.FromString("api"))
	s.podAt(t, "busy", "recorder-0", servedPort)
	s.status(t, "busy", "recorder-0", notReady)
	var warnings []string
	c := s.connect(t, kube.Options{Namespace: "busy", Warn: func(text string) { warnings = append(warnings, text) }})
	for range 2 {
		if err := c.Health(t.Context()); err != nil {
			t.Errorf("health: got error %v, want none", err)
		}
	}
	want := "recorder pod busy/recorder-0 is not ready: containers with unready status: [recorder]; using it anyway"
	if len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings: got %q, want only %q", warnings, want)
	}

	s.podAt(t, "busy", "recorder-1", refusedPort)
	s.status(t, "busy", "recorder-1", notReady)
	if err := s.connect(t, kube.Options{Namespace: "busy"}).Health(t.Context()); err != nil {
		t.Errorf("with a newer pod that refuses connections: got error %v, want none", err)
	}
	s.podAt(t, "busy", "recorder-2", servedPort)
	s.podAt(t, "busy", "recorder-3", refusedPort)
	s.status(t, "busy", "recorder-3", notReady)
	warnings = nil
	c = s.connect(t, kube.Options{Namespace: "busy", Warn: func(text string) { warnings = append(warnings, text) }})
	if err := c.Health(t.Context()); err != nil || len(warnings) > 0 {
		t.Errorf("with a ready pod among others: got error %v, warnings %q, want neither", err, warnings)
	}
}

// testCrashing: the pod is tried. The error describes the pod's failure and
// names the evidence of its cause.
func (s *site) testCrashing(t *testing.T) {
	s.namespace(t, "crashing")
	s.service(t, "crashing", "recorder", intstr.FromString("api"))
	s.podAt(t, "crashing", "recorder-0", refusedPort)
	s.status(t, "crashing", "recorder-0", crashing)
	c := s.connect(t, kube.Options{Namespace: "crashing"})
	err := c.Health(t.Context())
	wantError(t, err, history.Unavailable, "does not accept connections in its pod",
		"recorder-0 is not ready: container recorder: CrashLoopBackOff (back-off 5m0s), "+
			"previously OOMKilled (exit code 137)")
	wantEvidence(t, err, kube.Evidence{Pod: "recorder-0", Container: "recorder", Log: true, Previous: true})
}

// testPodsAlone: a pod with the recorder's label is found without a Service.
func (s *site) testPodsAlone(t *testing.T) {
	s.namespace(t, "alone")
	s.podAt(t, "alone", "recorder-0", servedPort)
	c := s.connect(t, kube.Options{Namespace: "alone"})
	if got, want := c.Target(), "recorder alone/recorder-0"; got != want ||
		c.Namespace != "alone" || c.Name != "recorder-0" {
		t.Errorf("target: got %q in %q with name %q, want %q", got, c.Namespace, c.Name, want)
	}
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("a pod without a Service: got error %v, want none", err)
	}
	s.service(t, "alone", "recorder", intstr.FromInt32(servedPort))
	service := must[*corev1.Service](t)(s.core.Services("alone").Get(t.Context(), "recorder", metav1.GetOptions{}))
	service.Spec.Selector = map[string]string{"app": "mistyped"}
	must[*corev1.Service](t)(s.core.Services("alone").Update(t.Context(), service, metav1.UpdateOptions{}))
	if err := s.connect(t, kube.Options{Namespace: "alone"}).Health(t.Context()); err != nil {
		t.Errorf("a Service that selects nothing: got error %v, want none", err)
	}
}

// testNoSelector: the endpoints of a Service without a selector are managed by
// others. The API server's proxy may reach them.
func (s *site) testNoSelector(t *testing.T) {
	s.namespace(t, "elsewhere")
	must[*corev1.Service](t)(s.core.Services("elsewhere").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "recorder", Labels: labels()},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}, metav1.CreateOptions{}))
	_, err := connect(t, kube.Options{RESTConfig: s.Config(), Namespace: "elsewhere", Mode: kube.PortForward})
	wantError(t, err, history.NotFound, "selects no pods, so no port can be forwarded")
	wantReason(t, err, kube.NoSelector)
	c := s.connect(t, kube.Options{Namespace: "elsewhere"})
	wantError(t, c.Health(t.Context()), history.Unavailable, "through the API server's proxy",
		`no endpoints available for service`)
}

func (s *site) testNoAPIServer(t *testing.T) {
	c := s.connect(t, kube.Options{})
	if err := c.Health(t.Context()); err != nil { // leaves an idle connection that is closed with the tunnel
		t.Fatal(err)
	}
	if err := s.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.Health(t.Context()), history.Unavailable, "connection refused")
	_, err := connect(t, kube.Options{RESTConfig: s.Config()})
	wantError(t, err, history.Unavailable, "can't look for the recorder's Service")
	wantReason(t, err, kube.NoAPIServer)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = kube.Connect(ctx, kube.Options{RESTConfig: s.Config()}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: got error %v, want Canceled", err)
	}
}
