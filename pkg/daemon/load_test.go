package daemon_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var updates = flag.Int("updates", 1200, "how many updates the load test drives; make load takes 20,000")

// TestEveryVersionOfALoadIsThereOnce compares the recorder with what the API server accepted from 8 writers at once: several kinds
// of objects and a custom resource, created, updated and deleted.
func TestEveryVersionOfALoadIsThereOnce(t *testing.T) {
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
		t.Fatalf("the load is %d writes", len(truth))
	}
	const query = "namespace=load&resourceType=pods,configmaps,secrets,widgets&summary=true"
	r.eventually(t, "as many records as writes", func() (bool, string) {
		n := len(r.events(t, query))
		return n >= len(truth), fmt.Sprintf("%d of %d", n, len(truth))
	})
	for _, finding := range clustertest.Compare(truth, r.events(t, query)).Findings {
		t.Error(finding)
	}
}
