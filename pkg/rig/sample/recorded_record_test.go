package sample_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var record = flag.Bool("record", false,
	"start a dev cluster with all components, and replace recorded.zst by its watch events")

// watched are the resources to record, as the lines name them.
var watched = []string{
	"/v1/pods/Pod", "/v1/nodes/Node", "/v1/events/Event", "/v1/configmaps/ConfigMap",
	"/v1/namespaces/Namespace", "coordination.k8s.io/v1/leases/Lease",
	"apps/v1/deployments/Deployment", "apps/v1/replicasets/ReplicaSet",
	"discovery.k8s.io/v1/endpointslices/EndpointSlice", "shop.devcluster.dev/v1/backups/Backup",
}

// recording collects the lines that watches serve.
type recording struct {
	host string // this machine's name, which is replaced

	mu    sync.Mutex // guards lines
	lines bytes.Buffer
}

// watch collects the lines of a watch, starting with the existing objects,
// until ctx ends. It waits for a resource that is not served yet.
func (f *recording) watch(ctx context.Context, config *rest.Config, client *http.Client, name string) error {
	part := strings.Split(name, "/")
	path := "/apis/" + part[0] + "/"
	if part[0] == "" {
		path = "/api/"
	}
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			config.Host+path+part[1]+"/"+part[2]+"?watch=true&timeoutSeconds=3600", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode == http.StatusOK {
			err := f.take(response, name)
			return errors.Join(err, response.Body.Close())
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil
}

// take collects the lines of one response.
func (f *recording) take(response *http.Response, name string) error {
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "apiserver.kubernetes.io/identity") {
			continue // the API server's lease, which describes the machine
		}
		f.mu.Lock()
		fmt.Fprintf(&f.lines, "%s\t%s\n", name, strings.ReplaceAll(lines.Text(), `"`+f.host+`_`, `"host_`))
		f.mu.Unlock()
	}
	return lines.Err()
}

// play plays every scenario, and changes Deployments and nodes, all
// concurrently.
func play(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	var group sync.WaitGroup
	for _, scenario := range []string{
		"broken-rollout", "crash-loop", "scale-and-delete", "configmap-change", "custom-resource",
	} {
		group.Go(func() {
			if err := cluster.Play(t.Context(), scenario, scenario, "--pause=1s"); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 4 {
		namespace := fmt.Sprintf("team-%d", i)
		group.Go(func() { rollOut(t, cluster, namespace) })
	}
	group.Go(func() { maintain(t, cluster) })
	group.Wait()
}

// maintain changes nodes as an administrator does. Simulated nodes update only
// their leases by themselves.
func maintain(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	for i := range 10 {
		for _, command := range []string{
			"cordon node-%d", "label node node-%d rack=r1",
			"annotate node node-%d maintenance=planned", "uncordon node-%d",
		} {
			if _, err := cluster.Kubectl(t.Context(), strings.Fields(fmt.Sprintf(command, 1+i))...); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// rollOut creates a Deployment, changes, scales and restarts it, and deletes
// it.
func rollOut(t *testing.T, cluster *clustertest.Cluster, namespace string) {
	t.Helper()
	for _, command := range []string{
		"create namespace " + namespace,
		"create deployment web --image=registry.example.com/shop/web:1.0 --replicas=6 --port=8080 -n " + namespace,
		"expose deployment web --port=80 --target-port=8080 -n " + namespace,
		"rollout status deployment web -n " + namespace,
		"set env deployment web LOG_LEVEL=debug -n " + namespace,
		"rollout status deployment web -n " + namespace,
		"set image deployment web web=registry.example.com/shop/web:1.1 -n " + namespace,
		"rollout status deployment web -n " + namespace,
		"scale deployment web --replicas=9 -n " + namespace,
		"rollout restart deployment web -n " + namespace,
		"rollout status deployment web -n " + namespace,
		"delete deployment web -n " + namespace,
	} {
		if _, err := cluster.Kubectl(t.Context(), strings.Fields(command)...); err != nil {
			t.Error(err)
			return
		}
	}
}

// recordWatchEvents writes recorded.zst.
func recordWatchEvents(t *testing.T) {
	t.Helper()
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	cluster := clustertest.New(t, clustertest.Options{All: true, Nodes: 10})
	config := cluster.Config()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	f := &recording{host: host}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var watches sync.WaitGroup
	for _, name := range watched {
		watches.Go(func() {
			if err := f.watch(ctx, config, client, name); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	play(t, cluster)
	time.Sleep(time.Minute) // collects heartbeats and leases
	cancel()
	watches.Wait()
	zipped, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("recorded.zst", zipped.EncodeAll(f.lines.Bytes(), nil), 0o644); err != nil {
		t.Fatal(err)
	}
}
