package daemon_test

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestTheOldestDayIsDroppedWhereTheStorageIsSmall starts on a log of two days, with a limit that anything exceeds: the first day goes,
// and the metrics, the log and a gap say so; what stood at its end is still answered.
func TestTheOldestDayIsDroppedWhereTheStorageIsSmall(t *testing.T) {
	noLeaks(t)
	dir, now := t.TempDir(), time.Now().Add(-5*24*time.Hour)
	log, err := store.Open(dir, store.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "young"} {
		r := &history.Record{
			Ref:     history.ObjectRef{Resource: "pods", Namespace: "prune", Name: name, UID: "u"},
			Version: "v1", Kind: "Pod", Verb: history.Create, RV: "1", Object: []byte(`{"metadata":{"name":"` + name + `"}}`),
		}
		if err := log.Append(t.Context(), &history.Batch{Records: []*history.Record{r}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, cluster.Config(), func(c *daemon.Config) { onlyConfigMaps(c); c.MaxStorage = 1 })
	r.eventually(t, "the day is dropped", func() (bool, string) {
		_, body := r.get(t, v1.MetricsPath)
		const metric = `watchhistory_storage_dropped_days_total{reason="size"} `
		dropped := strings.Contains(body, metric) && !strings.Contains(body, metric+"0")
		return dropped && strings.Contains(body, "watchhistory_storage_limit_bytes 1\n"), body
	})
	if _, body := r.get(t, v1.MetricsPath); strings.Contains(body, "watchhistory_storage_bytes 0\n") || !strings.Contains(body, "watchhistory_storage_bytes ") {
		t.Error("the metrics do not say how large the files are")
	}
	if r.log.count("dropped a day of history", "reason=size") == 0 {
		t.Error("the log does not say that a day was dropped")
	}
	var dropped []v1.Gap
	for _, g := range r.gaps(t, "") {
		if g.Reason == string(history.GapDropped) {
			dropped = append(dropped, g)
		}
	}
	if len(dropped) != 1 || dropped[0].Resource != "pods" {
		t.Errorf("the gaps of what was dropped are %+v, want one of pods", dropped)
	}
	for _, name := range []string{"old", "young"} {
		if got := verbs(r.events(t, "resourceName="+name)); got != "create" {
			t.Errorf("%s has %q, want the version that stands", name, got)
		}
	}
}
