package chaos_test

import (
	"bufio"
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/client"
)

// TestIdle_RestartListsAndRecordsNothing restarts the recorder with SIGTERM and
// with SIGKILL, and compares the API server's counts of lists.
func TestIdle_RestartListsAndRecordsNothing(t *testing.T) {
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "idle")
	w.createObjects(t, 60)
	w.caughtUp(t, r)
	before, records := lists(t), r.count(t)
	for range shortOrLong(1, 5) {
		r.restart(t)
		r.Kill(t)
		r.Start(t)
		r.ready(t)
	}
	if now := r.count(t); now != records {
		t.Errorf("after the restarts: got %d records, want %d", now, records)
	}
	if now := lists(t); !maps.Equal(now, before) {
		t.Errorf("lists after the restarts:\n got %v\nwant %v", now, before)
	}
	w.verify(t, r)
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

// listed matches the API server's counters of lists, and of watches that start
// with a list.
var listed = regexp.MustCompile(
	`^(apiserver_request_total|apiserver_watch_list_duration_seconds_count)\{(.*)\} ([0-9]+)$`,
)

// lists returns the number of lists by counter and resource. It ignores CRDs:
// the recorder lists them after each start, to discover their resources.
func lists(t *testing.T) map[string]int {
	t.Helper()
	metrics, err := cluster.Client(t).CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
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
		t.Fatalf("got counters %v, want one of watches of configmaps that start with a list", counts)
	}
	return counts
}
