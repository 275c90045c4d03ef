package cli_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// viewedNamespace is the namespace of the objects of testViews.
const viewedNamespace = "viewed"

// viewedObjects are created before they change.
const viewedObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: flags}
data: {a: b}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  replicas: 1
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: web, image: "shop/front:1"}, {name: log, image: "shop/log:1"}]}
`

// testViews shows versions, origins of fields and differences of objects that a
// recorder has recorded from a real API server.
func testViews(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	config, err := daemon.ParseConfig([]byte(`
discover: none
resources:
- {version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}
- {group: apps, version: v1, kind: Deployment, plural: deployments, namespaced: true}
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
	newest := func(n int, q client.EventsQuery) (at time.Time) {
		q.Namespace, q.Summary = viewedNamespace, true
		recordertest.Eventually(t, "the versions are recorded", func() (bool, string) {
			page, err := c.Events(t.Context(), q)
			if err != nil || len(page.Events) < n {
				return false, ""
			}
			at = page.Events[len(page.Events)-1].Timestamp
			return true, ""
		})
		return at
	}
	change := func(args ...string) { kubectl(t, cluster, viewedObjects, append(args, "-n", viewedNamespace)...) }
	deployments := client.EventsQuery{Resources: []string{"deployments"}}
	flags := client.EventsQuery{Resources: []string{"configmaps"}, Name: "flags"}
	kubectl(t, cluster, "", "create", "namespace", viewedNamespace)
	change("apply", "-f", "-")
	before := newest(1, deployments)
	if at := newest(1, flags); at.After(before) {
		before = at
	}
	change("set", "image", "deploy/front", "log=shop/log:2")
	newest(2, deployments)
	change("label", "deploy/front", "tier=edge")
	newest(3, deployments)
	change("delete", "configmap", "flags")
	newest(2, flags)
	from := before.Format(time.RFC3339Nano)
	view := func(args string) (code int, stdout, stderr string) {
		var out bytes.Buffer
		r := &recording{now: time.Now()}
		code, stderr = run(t.Context(), r, &out, append(strings.Fields(args), "-n", viewedNamespace,
			"--recorder-url", url, "--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())...)
		return code, out.String(), stderr
	}
	for _, tt := range []struct {
		args string
		code int
		want string // an expression
	}{
		{"history deploy/front", 0, `(?m)^#3 .* kubectl label +.*\n(.*\n)?#2 .* kubectl set +.*\n(.*\n)?#1 .* created`},
		{
			"show deploy/front#2", 0,
			`(?m)^Who: +kubectl set\n(.*\n)+Change: +updated, a root change\n(.*\n)+-   image: shop/log:1\n`,
		},
		{"show deploy/front#1 -o yaml", 0, `(?m)^kind: Deployment\n`},
		{
			"blame deploy/front", 0,
			`(?m)^#2 +kubectl set +\S+ .*\[log\]\.image: +shop/log:2 +\(also written by kubectl apply\)\n`,
		},
		{"blame deploy/front", 0, `(?m)^#1 +kubectl apply +\S+ .*\[web\]\.image: +shop/front:1\n`},
		{"blame deploy/front@" + from + " -o json", 0, `"value": "shop/log:1",\n +"revision": 1,`},
		{"diff --from " + from + " --exit-code", 1, `(?m)^D +configmap/flags .*\n`},
		{"diff --from " + from, 0, `(?m)^M +deployment/front +.*\(kubectl label, kubectl set\)\n`},
		{"diff --from " + from + " -p", 0, `(?m)^\+ +image: shop/log:2\n`},
		{"diff deploy/front --from #1 --to #2", 0, `(?m)^-   image: shop/log:1\n\+   image: shop/log:2\n`},
		{"diff deploy/front --from #-1 --exit-code", 0, `^$`},
	} {
		code, stdout, stderr := view(tt.args)
		if code != tt.code || !regexp.MustCompile(tt.want).MatchString(stdout) {
			t.Errorf("%s: got exit code %d, want %d and %s in\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
		}
	}

	// kubectl applies the manifests, and everything is as it was.
	code, manifests, stderr := view("diff --from " + from + " -R")
	if code != 0 || !strings.Contains(manifests, "tier: null") {
		t.Errorf("got exit code %d, %s and the manifests\n%s\nwant a label that is removed", code, stderr, manifests)
	}
	kubectl(t, cluster, manifests, "apply", "-f", "-")
	newest(4, deployments)
	newest(3, flags)
	if code, stdout, stderr := view("diff deploy --from " + from + " --exit-code"); code != 0 ||
		!strings.HasPrefix(stdout, "=   deployment/front   changed 3 times, as it was ") {
		t.Errorf("got exit code %d and\n%s%s, want 0 and a Deployment that is as it was", code, stdout, stderr)
	}
}
