package daemon_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// TestGap_IsOpenWhileStorageFails renames the storage directory while the
// recorder runs, and renames it back. Then the changes of this time are
// recorded.
func TestGap_IsOpenWhileStorageFails(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "namespace", "full")
	kubectl(t, "create", "configmap", "before", "-n", "full")
	r.eventually(t, "the first creation is recorded", func() (bool, string) {
		got := verbs(r.events(t, "namespace=full&resourceType=configmaps"))
		return strings.HasSuffix(got, "create"), got
	})
	away := r.dir + ".away"
	if err := os.Rename(r.dir, away); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := os.Rename(away, r.dir); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	defer restore() // before the daemon ends
	kubectl(t, "create", "configmap", "meanwhile", "-n", "full")
	r.eventually(t, "one open gap with reason storage", func() (bool, string) {
		got := r.gaps(t, "namespace=full")
		_, metrics := r.get(t, v1.MetricsPath)
		return len(got) == 1 && got[0].Reason == "storage" && got[0].End.IsZero() &&
			strings.Contains(metrics, "\nwatchhistory_commits_refused 1\n"), metrics
	})
	if status, body := r.get(t, v1.ReadyzPath); status != http.StatusOK ||
		!strings.Contains(body, "nothing is recorded now") {
		t.Errorf("got %s %d %q, want 200 and that nothing is recorded", v1.ReadyzPath, status, body)
	}
	if got := r.events(t, "namespace=full&resourceType=configmaps"); len(got) == 0 ||
		got[len(got)-1].ResourceName != "before" {
		t.Errorf("got events %+v, want the recorded ones", got)
	}
	restore()
	r.eventually(t, "the second creation is recorded and no gap is left", func() (bool, string) {
		got := r.events(t, "namespace=full&resourceType=configmaps")
		return got[len(got)-1].ResourceName == "meanwhile" && len(r.gaps(t, "")) == 0, verbs(got)
	})
	_, metrics := r.get(t, v1.MetricsPath)
	for _, want := range []string{"\nwatchhistory_commits_refused 0\n", "\nwatchhistory_storage_free_bytes "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("got metrics %s, want %q in them", metrics, want)
		}
	}
}
