package daemon_test

import (
	"flag"
	"fmt"
	"strconv"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/clustertest"
)

var updates = flag.Int("updates", 1200, "how many updates the load test drives; make load takes 8,000")

// TestEveryVersionOfALoadIsThereOnce compares the recorder with what the API server accepted from 8 writers at once.
func TestEveryVersionOfALoadIsThereOnce(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), nil)
	const objects = 40
	truth, err := cluster.Load(t.Context(), clustertest.Load{
		Namespace: "load", Kinds: []string{"pods", "configmaps"}, Objects: objects, Updates: *updates / objects, Writers: 8, Delete: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(truth) < *updates {
		t.Fatalf("the load is %d writes", len(truth))
	}
	const query = "namespace=load&resourceType=pods,configmaps&summary=true"
	r.eventually(t, "as many records as writes", func() (bool, string) {
		n := len(r.events(t, query))
		return n >= len(truth), fmt.Sprintf("%d of %d", n, len(truth))
	})
	compare(t, truth, r.events(t, query))
}

// compare fails for every version that is missing, invented, there twice, or out of order.
func compare(t *testing.T, truth []clustertest.Write, recorded []v1.Event) {
	t.Helper()
	seen := map[string]int{}
	newest := map[string]uint64{}
	for _, e := range recorded {
		seen[version(e.UID, e.ResourceVersion, e.Verb)]++
		rv, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
		if err != nil || rv <= newest[e.UID] {
			t.Errorf("%s %s: resourceVersion %s comes after %d", e.Verb, e.ResourceName, e.ResourceVersion, newest[e.UID])
		}
		newest[e.UID] = rv
	}
	for _, w := range truth {
		id := version(w.UID, w.ResourceVersion, w.Verb)
		if seen[id] != 1 {
			t.Errorf("%s of %s %s is recorded %d times", w.Verb, w.Resource, w.Name, seen[id])
		}
		delete(seen, id)
	}
	for id, n := range seen {
		t.Errorf("%s is recorded %d times and never happened", id, n)
	}
}

// version identifies a write. A deletion's response does not tell its resourceVersion, and a UID has one deletion only.
func version(uid, rv, verb string) string {
	if verb == "delete" {
		rv = ""
	}
	return uid + " " + rv + " " + verb
}
