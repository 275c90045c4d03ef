package daemon_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var updates = flag.Int("updates", 1200, "number of updates of the load test; make load uses 20,000")

// TestDaemon_RecordsEveryVersionOnce compares the records with what the API
// server accepted from 8 concurrent writers. They create, update and delete
// objects of several kinds, one of them a custom resource.
func TestDaemon_RecordsEveryVersionOnce(t *testing.T) {
	noLeaks(t)
	kinds := []string{"pods", "configmaps", "secrets", "widgets"}
	define := clustertest.Load{Namespace: "define", Kinds: kinds, Objects: len(kinds), Writers: 1, Delete: true}
	if _, err := cluster.Load(t.Context(), define); err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), cluster.Config(), nil)
	r.watches(t, "widgets")
	const objects = 80
	truth, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: "load", Kinds: kinds, Objects: objects, Updates: *updates / objects, Writers: 8, Delete: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(truth) < *updates {
		t.Fatalf("got a load of %d writes, want at least %d", len(truth), *updates)
	}
	const query = "namespace=load&resourceType=pods,configmaps,secrets,widgets&summary=true"
	r.eventually(t, "as many records as writes", func() (bool, string) {
		n := len(r.events(t, query))
		return n >= len(truth), fmt.Sprintf("got %d, want %d", n, len(truth))
	})
	for _, finding := range clustertest.Compare(truth, r.events(t, query)).Findings {
		t.Error(finding)
	}
}
