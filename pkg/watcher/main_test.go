package watcher_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
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

	"github.com/watchhistory/watchhistory/pkg/internal/clustertest"
)

var (
	cluster *clustertest.Cluster
	kube    *kubernetes.Clientset
	objects *dynamic.DynamicClient
)

func TestMain(m *testing.M) {
	var admin *http.Client
	code := clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) {
		cluster = c
		var err error
		if admin, err = rest.HTTPClientFor(c.Config()); err != nil {
			panic(err)
		}
		kube = kubernetes.NewForConfigOrDie(c.Config())
		objects = dynamic.NewForConfigOrDie(c.Config())
	})
	if admin != nil {
		utilnet.CloseIdleConnectionsFor(admin.Transport)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// namespace makes a namespace with a unique name.
func namespace(t *testing.T) string {
	t.Helper()
	ns, err := kube.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "watch-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// wire is a watcher's connection to the cluster, which tests look at and cut.
type wire struct {
	// answer, where it is set, answers a request in the server's stead; with nil it is passed on.
	answer func(*http.Request) *http.Response

	mu    sync.Mutex
	conns []net.Conn
	asked []string
}

// config returns a configuration whose connections are the wire's, and which is closed with the test.
func (w *wire) config(t *testing.T) *rest.Config {
	t.Helper()
	cfg := cluster.Config()
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
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &tap{wire: w, next: next} })
	t.Cleanup(w.cut)
	return cfg
}

// cut closes all connections.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// requests returns what was asked about a resource, or of discovery with "".
func (w *wire) requests(plural string) (all []string) {
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
	wire *wire
	next http.RoundTripper
}

// WrappedRoundTripper lets idle connections be closed.
func (p *tap) WrappedRoundTripper() http.RoundTripper { return p.next }

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.Split(r.URL.Path, "/")
	about := path[len(path)-1]
	if len(path) < 4 {
		about = ""
	}
	p.wire.mu.Lock()
	p.wire.asked = append(p.wire.asked, about+" "+brief(r.URL.Query()))
	p.wire.mu.Unlock()
	if p.wire.answer != nil {
		if resp := p.wire.answer(r); resp != nil {
			return resp, nil
		}
	}
	return p.next.RoundTrip(r)
}
