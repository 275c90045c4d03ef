package cli_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// filteredNamespace is the namespace of the objects of testFilters.
const filteredNamespace = "filtered"

// filteredObjects are created before the Deployment changes.
const filteredObjects = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: front, labels: {app: front}}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec: {containers: [{name: web, image: "shop/front:1"}]}
---
apiVersion: v1
kind: Secret
metadata: {name: token}
stringData: {token: "1"}
---
apiVersion: v1
kind: Event
metadata: {name: front.1}
involvedObject: {kind: Deployment, apiVersion: apps/v1, name: front, namespace: filtered}
reason: Tested
type: Normal
message: for a test
`

// record runs a recorder of some types in this process until the test ends, and
// returns the URL of its API.
func record(t *testing.T, cluster *clustertest.Cluster) string {
	t.Helper()
	config, err := daemon.ParseConfig([]byte(`
discover: none
resources:
- {group: apps, version: v1, kind: Deployment, plural: deployments, namespaced: true}
- {version: v1, kind: Secret, plural: secrets, namespaced: true}
- {version: v1, kind: Event, plural: events, namespaced: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerPort = 0
	return "http://" + recordertest.RunDaemon(t, cluster.Config(), config).Address()
}

// testFilters selects versions that a recorder has recorded from a real API
// server, with the plugin as a process.
func testFilters(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	url := record(t, cluster)
	c, err := client.New(url, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	versions := func(n int, q client.EventsQuery) {
		recordertest.Eventually(t, "the versions are recorded", func() (bool, string) {
			page, err := c.Events(t.Context(), q)
			return err == nil && page.Total >= n, ""
		})
	}
	change := func(args ...string) { kubectl(t, cluster, filteredObjects, append(args, "-n", filteredNamespace)...) }
	kubectl(t, cluster, "", "create", "namespace", filteredNamespace)
	change("apply", "-f", "-")
	of := client.EventsQuery{Namespace: filteredNamespace}
	versions(3, of)
	change("set", "image", "deploy/front", "web=shop/front:2")
	versions(4, of)
	change("label", "deploy/front", "app=other", "tier=edge", "--overwrite")
	versions(5, of)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/cluster", UpdateScripts: *update, RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RECORDER", url)
			e.Setenv("KUBECONFIG", cluster.Kubeconfig)
			e.Setenv("STORY_NOW", time.Now().Format(time.RFC3339))
			e.Setenv("KUBECACHEDIR", filepath.Join(e.WorkDir, "cache"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"lines": lines},
	})
}
