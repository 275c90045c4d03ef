package chaos_test

import (
	"bufio"
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/watchhistory/watchhistory/pkg/client"
)

// TestARestartOnAnIdleClusterListsAndRecordsNothing restarts the recorder in both ways and asks the API server what it was
// asked.
func TestARestartOnAnIdleClusterListsAndRecordsNothing(t *testing.T) {
	r := newRecorder(t, cluster.Kubeconfig)
	w := newWorld(t, "idle")
	w.settle(t, 60)
	w.caughtUp(t, r)
	before, records := lists(t), r.count(t)
	for range form(1, 5) {
		r.restart(t)
		r.Kill(t)
		r.Start(t)
		r.ready(t)
	}
	if now := r.count(t); now != records {
		t.Errorf("%d records before the restarts, %d after", records, now)
	}
	if now := lists(t); !maps.Equal(now, before) {
		t.Errorf("lists before the restarts and after:\n%v\n%v", before, now)
	}
	w.judge(t, r)
}

// count returns the number of all records.
func (r *recorder) count(t *testing.T) (n int) {
	t.Helper()
	for _, err := range r.Client.All(t.Context(), client.EventsQuery{Summary: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// listed matches the API server's counts of lists, and of watches that began with a list.
var listed = regexp.MustCompile(`^(apiserver_request_total|apiserver_watch_list_duration_seconds_count)\{(.*)\} ([0-9]+)$`)

// lists returns how often each resource was listed, in both ways. The definitions of custom resources are left out: what they
// are is not recorded, so a recorder begins with all of them.
func lists(t *testing.T) map[string]int {
	t.Helper()
	c, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := c.RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(metrics)); lines.Scan(); {
		m := listed.FindStringSubmatch(lines.Text())
		if m == nil || m[1] == "apiserver_request_total" && !regexp.MustCompile(`verb="LIST"`).MatchString(m[2]) {
			continue
		}
		resource := regexp.MustCompile(`\bresource="([^"]*)"`).FindStringSubmatch(m[2])[1]
		if resource == "customresourcedefinitions" {
			continue
		}
		n, err := strconv.Atoi(m[3])
		if err != nil {
			t.Fatal(err)
		}
		counts[m[1]+" "+resource] += n
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(counts)), func(k string) bool {
		return k == "apiserver_watch_list_duration_seconds_count configmaps"
	}) {
		t.Fatalf("the API server does not count the lists that watches begin with: %v", counts)
	}
	return counts
}
