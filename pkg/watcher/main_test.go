package watcher_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a real cluster and its administrator.
type lab struct {
	cluster *clustertest.Cluster
	kube    *kubernetes.Clientset
	objects *dynamic.DynamicClient
}

func newLab(t *testing.T) *lab {
	t.Helper()
	c := clustertest.New(t, clustertest.Options{})
	admin, err := rest.HTTPClientFor(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { utilnet.CloseIdleConnectionsFor(admin.Transport) })
	return &lab{c, kubernetes.NewForConfigOrDie(c.Config()), dynamic.NewForConfigOrDie(c.Config())}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	// The first two take the API server away from everybody, so they are not parallel.
	t.Run("API server goes and comes", l.testAPIServerGoesAndComes)
	t.Run("checkpoint is too old", l.testCheckpointIsTooOld)
	for name, test := range map[string]func(*testing.T){
		"resumes without a list":                    l.testResumesWithoutAList,
		"under load":                                l.testUnderLoad,
		"pages agree with the watch":                l.testPagesAgreeWithTheWatch,
		"configured resources":                      l.testConfiguredResources,
		"sink that cannot be opened ends the set":   l.testSinkThatCannotBeOpenedEndsTheSet,
		"resource that cannot be recorded":          l.testResourceThatCannotBeRecorded,
		"permissions come and go":                   l.testPermissionsComeAndGo,
		"permission is lost":                        l.testPermissionIsLost,
		"definitions come change and go":            l.testDefinitionsComeChangeAndGo,
		"deletions arrive after their definition's": l.testDeletionsArriveAfterTheirDefinitions,
		"definition is deleted and comes back":      l.testDefinitionIsDeletedAndComesBack,
		"configured resource appears later":         l.testConfiguredResourceAppearsLater,
		"configuration changes":                     l.testConfigurationChanges,
		"configuration changes without discovery":   l.testConfigurationChangesWithoutDiscovery,
		"definitions are discovered or not":         l.testDefinitionsAreDiscoveredOrNot,
		"definitions may not be watched":            l.testDefinitionsMayNotBeWatched,
		"scope comes from discovery":                l.testScopeComesFromDiscovery,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// namespace makes a namespace with a unique name.
func (l *lab) namespace(t *testing.T) string {
	t.Helper()
	ns, err := l.kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "watch-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// clientConn is a watcher's connection to the cluster, which tests look at and cut.
type clientConn struct {
	// answer, where it is set, answers a request in the server's stead; with nil it is passed on.
	answer func(*http.Request) *http.Response
	// held, where it is set, is the resource whose answers are not read on while the gate is locked.
	held string
	gate sync.RWMutex

	mu    sync.Mutex
	conns []net.Conn
	asked []string
}

// config returns a configuration whose connections are the clientConn's, and which is closed with the test.
func (l *lab) config(t *testing.T, w *clientConn) *rest.Config {
	t.Helper()
	cfg := l.cluster.Config()
	dialer := &net.Dialer{}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			w.mu.Lock()
			w.conns = append(w.conns, c)
			w.mu.Unlock()
		}
		return c, err
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tap{clientConn: w, next: next} })
	t.Cleanup(w.cut)
	return cfg
}

// cut closes all connections.
func (w *clientConn) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// requests returns what was asked about a resource, or of discovery with "".
func (w *clientConn) requests(plural string) (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asked {
		if about, what, _ := strings.Cut(a, " "); about == plural {
			all = append(all, what)
		}
	}
	return slices.Clone(all)
}

type tap struct {
	clientConn *clientConn
	next       http.RoundTripper
}

// WrappedRoundTripper lets idle connections be closed.
func (p *tap) WrappedRoundTripper() http.RoundTripper { return p.next }

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.Split(r.URL.Path, "/")
	about := path[len(path)-1]
	if len(path) < 4 {
		about = ""
	}
	p.clientConn.mu.Lock()
	p.clientConn.asked = append(p.clientConn.asked, about+" "+requestName(r.URL.Query()))
	p.clientConn.mu.Unlock()
	if p.clientConn.answer != nil {
		if resp := p.clientConn.answer(r); resp != nil {
			return resp, nil
		}
	}
	resp, err := p.next.RoundTrip(r)
	if err == nil && about != "" && about == p.clientConn.held {
		resp.Body = heldBody{resp.Body, &p.clientConn.gate}
	}
	return resp, err
}

// heldBody is a body that passes on what arrived when its gate is open.
type heldBody struct {
	io.ReadCloser
	gate *sync.RWMutex
}

func (b heldBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.gate.RLock()
	defer b.gate.RUnlock()
	return n, err
}
