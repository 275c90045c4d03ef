package daemon_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access/clientcert"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var cluster *clustertest.Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests that run at the same time mostly wait.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c }))
}

// ownCluster gives a test a cluster without the namespaces of other tests. The
// API server decides on a caller's rights in each namespace, so tests with many
// questions take several times as long in the shared cluster.
func ownCluster(t *testing.T) {
	t.Helper()
	shared := cluster
	cluster = clustertest.New(t, clustertest.Options{})
	t.Cleanup(func() { cluster = shared })
}

// patience bounds every wait. It is far longer than any of them takes.
const patience = time.Minute

// running is a daemon that runs in the test process.
type running struct {
	url    string
	secure string // the address of the secure listener, or ""
	debug  string // the address of the debug listener, or ""
	dir    string
	log    *clustertest.Logbook

	authorities func() []byte
	cancel      context.CancelFunc
	ended       chan error
}

// start runs a daemon on a free port, with the database in dir, until the test
// ends. It returns when the daemon is in sync.
func start(t *testing.T, dir string, cfg *rest.Config, change func(*daemon.Config)) *running {
	t.Helper()
	c := daemon.DefaultConfig()
	c.ServerPort, c.StoragePath = 0, dir
	if change != nil {
		change(&c)
	}
	return launch(t, c, cfg, nil)
}

// launch calls boot and waits until every resource is in sync, except those
// that the API server refuses or does not serve.
func launch(t *testing.T, c daemon.Config, cfg *rest.Config, source *daemon.Source) *running {
	t.Helper()
	r := boot(t, c, cfg, source)
	r.eventually(t, "the recorder is in sync", func() (bool, string) {
		_, body := r.get(t, v1.ReadyzPath)
		for line := range strings.Lines(strings.TrimPrefix(body, "ok\n")) {
			if !strings.HasPrefix(line, "not in sync") && !strings.Contains(line, ": forbidden: ") &&
				!strings.Contains(line, ": not_served: ") {
				return false, body
			}
		}
		return strings.HasPrefix(body, "ok\n"), body
	})
	return r
}

// boot runs a daemon until the test ends. The daemon follows the source unless
// it is nil.
func boot(t *testing.T, c daemon.Config, cfg *rest.Config, source *daemon.Source) *running {
	t.Helper()
	return bootLogging(t, c, cfg, source, slog.LevelInfo)
}

// bootLogging is boot with a log level.
func bootLogging(t *testing.T, c daemon.Config, cfg *rest.Config, source *daemon.Source, level slog.Level) *running {
	t.Helper()
	log := clustertest.NewLogbook(t)
	d, err := daemon.New(t.Context(), c, cfg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level})),
		daemon.WithClientCertificates(clientcert.New))
	if err != nil {
		t.Fatal(err)
	}
	if source != nil {
		d.Follow(source, 20*time.Millisecond, nil)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{
		url: "http://" + d.Address(), secure: d.SecureAddress(), debug: d.DebugAddress(), dir: c.StoragePath,
		log: log, cancel: cancel, ended: make(chan error, 1), authorities: d.Authorities,
	}
	go func() { r.ended <- d.Run(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop stops the daemon and waits for it. It may be called more than once.
func (r *running) stop(t *testing.T) {
	t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("stop: got error %v, want none", err)
		}
	case <-time.After(patience):
		t.Errorf("stop: the daemon still runs after %v", patience)
	}
	http.DefaultClient.CloseIdleConnections()
}

// get returns the answer of the REST API to a GET.
func (r *running) get(t *testing.T, path string) (status int, body string) {
	t.Helper()
	response, err := http.Get(r.url + path) //nolint:noctx // loopback, and bounded by the server
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkDescribed(t, response, data)
	return response.StatusCode, string(data)
}

// events returns the events of all pages of a query.
func (r *running) events(t *testing.T, query string) []v1.Event {
	t.Helper()
	var all []v1.Event
	for cursor := ""; ; {
		request := fmt.Sprintf("%s%s?empty=200&%s&cursor=%s", r.url, v1.EventsPath, query, cursor)
		response, err := http.Get(request) //nolint:noctx // loopback, and bounded by the server
		if err != nil {
			t.Fatal(err)
		}
		var page []v1.Event
		err = json.NewDecoder(response.Body).Decode(&page)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: got %s, error %v, want 200", request, response.Status, err)
		}
		all = append(all, page...)
		if cursor = response.Header.Get(v1.NextCursorHeader); cursor == "" {
			return all
		}
	}
}

// watches waits until the recorder watches a resource.
func (r *running) watches(t *testing.T, plural string) {
	t.Helper()
	r.eventually(t, plural+" are watched", func() (bool, string) {
		_, body := r.get(t, v1.ResourcesPath)
		var list v1.ResourceList
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			return false, err.Error()
		}
		return slices.ContainsFunc(list.Resources, func(r v1.Resource) bool {
			return r.Plural == plural && r.State == "watching"
		}), body
	})
}

// eventually waits until check returns true, and fails the test after
// [patience]. check returns the observed state as a string.
func (r *running) eventually(t *testing.T, what string, check func() (bool, string)) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ok, seen := check()
		if ok {
			return
		}
		last = seen
	}
	t.Fatalf("want within %v: %s; last got: %s", patience, what, last)
}

// kubectl runs kubectl against the shared cluster and returns its output.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return kubectlOf(t, cluster, args...)
}

// kubectlOf runs kubectl against a cluster and returns its output.
func kubectlOf(t *testing.T, c *clustertest.Cluster, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apply applies a manifest to the shared cluster.
func apply(t *testing.T, manifest string) {
	t.Helper()
	applyTo(t, cluster, manifest)
}

// applyTo applies a manifest to a cluster with kubectl.
func applyTo(t *testing.T, c *clustertest.Cluster, manifest string) {
	t.Helper()
	file := t.TempDir() + "/manifest.yaml"
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectlOf(t, c, "apply", "-f", file)
}

// noLeaks fails the test if goroutines of the test are left when it ends.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// observesAll waits until every resource was listed and all of it is committed.
func (r *running) observesAll(t *testing.T) {
	t.Helper()
	r.eventually(t, "everything is watched", func() (bool, string) {
		_, body := r.get(t, v1.ResourcesPath)
		var list v1.ResourceList
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			return false, err.Error()
		}
		for _, l := range list.Resources {
			if l.State == "syncing" || l.State == "waiting" {
				return false, fmt.Sprintf("%+v", l)
			}
		}
		_, metrics := r.get(t, v1.MetricsPath)
		return strings.Contains(metrics, "\nwatchhistory_queue_records 0\n"), "queue not empty"
	})
}
