package watcher_test

import (
	"io"
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

// lab is a real cluster with an administrator's clients.
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
	// The first two stop the API server, so they do not run in parallel.
	t.Run("API server restarts", l.testAPIServerRestarts)
	t.Run("checkpoint is too old", l.testCheckpointIsTooOld)
	for name, test := range map[string]func(*testing.T){
		"resumes without a list":                      l.testResumesWithoutAList,
		"under load":                                  l.testUnderLoad,
		"pages equal the watch":                       l.testPagesEqualTheWatch,
		"configured resources":                        l.testConfiguredResources,
		"sink that can't be opened":                   l.testSinkThatCannotBeOpened,
		"resource that can't be recorded":             l.testResourceThatCannotBeRecorded,
		"permission is granted later":                 l.testPermissionIsGrantedLater,
		"one namespace":                               l.testOneNamespace,
		"one namespace is listed again":               l.testOneNamespaceIsListedAgain,
		"permission is revoked":                       l.testPermissionIsRevoked,
		"CRDs change":                                 l.testCRDsChange,
		"deletions after their CRD's":                 l.testDeletionsAfterTheirCRD,
		"CRD is created again":                        l.testCRDIsCreatedAgain,
		"configured resource is served later":         l.testConfiguredResourceIsServedLater,
		"configuration changes":                       l.testConfigurationChanges,
		"configuration changes while discovery fails": l.testConfigurationChangesWhileDiscoveryFails,
		"CRDs are discovered or not":                  l.testCRDsAreDiscoveredOrNot,
		"CRDs are forbidden":                          l.testCRDsAreForbidden,
		"scope comes from discovery":                  l.testScopeComesFromDiscovery,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// namespace creates a namespace with a unique name.
func (l *lab) namespace(t *testing.T) string {
	t.Helper()
	ns, err := l.kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "watch-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// clientConn is the connection of a watcher to the cluster. Tests read its
// requests, and close its network connections.
type clientConn struct {
	// answer answers requests in place of the server, unless it is nil. If it
	// returns nil, the request is sent to the server.
	answer func(*http.Request) *http.Response
	// held is the resource whose answers are delayed while the gate is locked,
	// or "".
	held string
	gate sync.RWMutex
	// spied is the resource whose answers are recorded, or "".
	spied string

	connections clustertest.Connections

	mu    sync.Mutex
	seen  []byte // the recorded answers
	asked []string
}

// config returns the configuration of a client that uses w. Its connections are
// closed when the test ends.
func (l *lab) config(t *testing.T, w *clientConn) *rest.Config {
	t.Helper()
	cfg := l.cluster.Config()
	cfg.Dial = w.connections.Dial
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tap{clientConn: w, next: next} })
	t.Cleanup(w.cut)
	return cfg
}

// cut closes all network connections.
func (w *clientConn) cut() { w.connections.Cut() }

// requests returns the requests for a resource, by requestName. The plural ""
// means requests of discovery.
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

// tap is a transport that records requests.
type tap struct {
	clientConn *clientConn
	next       http.RoundTripper
}

// WrappedRoundTripper is used to close idle connections.
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
	if err == nil && about != "" && about == p.clientConn.spied {
		resp.Body = spiedBody{resp.Body, p.clientConn}
	}
	return resp, err
}

// hasRead reports whether a recorded answer has a line with all of these parts.
func (w *clientConn) hasRead(parts ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(string(w.seen)) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
			return true
		}
	}
	return false
}

// spiedBody is a body that records what is read of it.
type spiedBody struct {
	io.ReadCloser
	conn *clientConn
}

func (b spiedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	b.conn.seen = append(b.conn.seen, p[:n]...)
	return n, err
}

// heldBody is a body whose reads wait until the gate is open.
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
