package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// relatedNamespace is the namespace of the objects of testTree.
const relatedNamespace = "related"

// relatedObjects refer to each other. The Secret does not exist, and
// Ingresses and StorageClasses are not recorded.
const relatedObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: shop-config}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: web
        image: shop/web:1
        envFrom: [{configMapRef: {name: shop-config}}, {secretRef: {name: shop-secret}}]
---
apiVersion: v1
kind: Pod
metadata: {name: probe, labels: {app: shop}}
spec:
  containers: [{name: web, image: "shop/web:1", envFrom: [{configMapRef: {name: shop-config}}]}]
  priorityClassName: system-cluster-critical
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{port: 80}]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
`

// testTree shows the relations of objects that a recorder has recorded from a
// real API server, before and after one of them was deleted.
func testTree(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	config, err := daemon.ParseConfig([]byte(`
discover: none
resources:
- {version: v1, kind: Pod, plural: pods, namespaced: true}
- {version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}
- {version: v1, kind: Secret, plural: secrets, namespaced: true}
- {version: v1, kind: Service, plural: services, namespaced: true}
- {group: apps, version: v1, kind: Deployment, plural: deployments, namespaced: true}
- {group: autoscaling, version: v2, kind: HorizontalPodAutoscaler, plural: horizontalpodautoscalers, namespaced: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerPort = 0
	url := "http://" + recordertest.RunDaemon(t, cluster.Config(), config).Address()
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, cluster, "", "create", "namespace", relatedNamespace)
	kubectl(t, cluster, relatedObjects, "apply", "-f", "-", "-n", relatedNamespace)
	newest := func(q client.EventsQuery) (at time.Time) {
		q.Namespace = relatedNamespace
		recordertest.Eventually(t, "the versions are recorded", func() (bool, string) {
			page, err := c.Events(t.Context(), q)
			if err != nil || len(page.Events) == 0 {
				return false, ""
			}
			at = page.Events[0].Timestamp
			return true, ""
		})
		return at
	}
	var before time.Time
	for _, name := range []string{"deployments", "pods", "services", "horizontalpodautoscalers", "configmaps"} {
		if at := newest(client.EventsQuery{Resources: []string{name}, Summary: true}); at.After(before) {
			before = at
		}
	}
	kubectl(t, cluster, "", "delete", "configmap", "shop-config", "-n", relatedNamespace)
	deletions := client.EventsQuery{Resources: []string{"configmaps"}, Name: "shop-config", Summary: true}
	recordertest.Eventually(t, "the deletion is recorded", func() (bool, string) {
		page, err := c.Events(t.Context(), deletions)
		return err == nil && len(page.Events) == 2, ""
	})
	tree := func(args ...string) string {
		var out bytes.Buffer
		r := &recording{now: time.Now()}
		code, stderr := run(t.Context(), r, &out, append(append([]string{"tree"}, args...), "-n", relatedNamespace,
			"--recorder-url", url, "--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())...)
		if code != 0 {
			t.Errorf("tree %v: got exit code %d, %s", args, code, stderr)
		}
		return out.String()
	}
	at := before.Format(time.RFC3339Nano)
	for _, tt := range []struct {
		args, want string
	}{
		{"cm/shop-config --at " + at, "used by\n    ├── deployment.apps/shop#"},
		{"cm/shop-config", "configmap/shop-config  MISSING\n"},
		{"cm/shop-config", "── pod/probe#"},
		{"deploy/shop", "configmap/shop-config  MISSING  envFrom\n"},
		{"deploy/shop", "secret/shop-secret  MISSING  envFrom\n"},
		{"deploy/shop", "horizontalpodautoscaler.autoscaling/shop#"},
		{"svc/shop", "pod/probe#"},
		{"pod/probe", "priorityclass.scheduling.k8s.io/system-cluster-critical  (not known)  priorityClass\n"},
		{"priorityclass/system-cluster-critical -o name", "pod/probe\n"},
	} {
		if got := tree(strings.Fields(tt.args)...); !strings.Contains(got, tt.want) {
			t.Errorf("tree %s: got\n%swant %q", tt.args, got, tt.want)
		}
	}
}
