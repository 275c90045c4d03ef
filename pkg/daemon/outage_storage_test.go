package daemon_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// TestAStorageThatTakesNothingIsAGapUntilItDoes takes the storage away while the recorder runs, and gives it back: what happened
// meanwhile is recorded then, and until then every answer says that it is missing.
func TestAStorageThatTakesNothingIsAGapUntilItDoes(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), onlyConfigMaps)
	kubectl(t, "create", "namespace", "full")
	kubectl(t, "create", "configmap", "before", "-n", "full")
	r.eventually(t, "the first is recorded", func() (bool, string) {
		got := verbs(r.events(t, "namespace=full&resourceType=configmaps"))
		return strings.HasSuffix(got, "create"), got
	})
	away := r.dir + ".away"
	if err := os.Rename(r.dir, away); err != nil {
		t.Fatal(err)
	}
	back := func() {
		if err := os.Rename(away, r.dir); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	defer back() // before the daemon ends
	kubectl(t, "create", "configmap", "meanwhile", "-n", "full")
	r.eventually(t, "the gap is open", func() (bool, string) {
		got := r.gaps(t, "namespace=full")
		_, metrics := r.get(t, v1.MetricsPath)
		return len(got) == 1 && got[0].Reason == "storage" && got[0].End.IsZero() && strings.Contains(metrics, "\nwatchhistory_commits_refused 1\n"), metrics
	})
	if status, body := r.get(t, v1.ReadyzPath); status != http.StatusOK || !strings.Contains(body, "nothing is recorded now") {
		t.Errorf("ready says %d %q", status, body)
	}
	if got := r.events(t, "namespace=full&resourceType=configmaps"); len(got) == 0 || got[len(got)-1].ResourceName != "before" {
		t.Errorf("what is recorded is not answered: %+v", got)
	}
	back()
	r.eventually(t, "the second is recorded", func() (bool, string) {
		got := r.events(t, "namespace=full&resourceType=configmaps")
		return got[len(got)-1].ResourceName == "meanwhile" && len(r.gaps(t, "")) == 0, verbs(got)
	})
	_, metrics := r.get(t, v1.MetricsPath)
	for _, want := range []string{"\nwatchhistory_commits_refused 0\n", "\nwatchhistory_storage_free_bytes "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %q", want)
		}
	}
}
