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

// TestPrune_DropsOldestDayAboveLimit starts with two days of history and a
// limit of one byte. The first day is dropped, which the metrics, the logger
// and a gap report. The baseline at its end is still served.
func TestPrune_DropsOldestDayAboveLimit(t *testing.T) {
	noLeaks(t)
	dir, now := t.TempDir(), time.Now().Add(-5*24*time.Hour)
	log, err := store.Open(dir, store.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "young"} {
		r := &history.Record{
			Ref:     history.ObjectRef{Resource: "pods", Namespace: "prune", Name: name, UID: "u"},
			Version: "v1", Kind: "Pod", Verb: history.Create, RV: "1",
			Object: []byte(`{"metadata":{"name":"` + name + `"}}`),
		}
		if err := log.Append(t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: r}}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, cluster.Config(), func(c *daemon.Config) { onlyConfigMaps(c); c.MaxStorage = 1 })
	r.eventually(t, "a day is dropped", func() (bool, string) {
		_, body := r.get(t, v1.MetricsPath)
		const metric = `watchhistory_storage_dropped_days_total{reason="size"} `
		dropped := strings.Contains(body, metric) && !strings.Contains(body, metric+"0")
		return dropped && strings.Contains(body, "watchhistory_storage_limit_bytes 1\n"), body
	})
	if _, body := r.get(t, v1.MetricsPath); strings.Contains(body, "watchhistory_storage_bytes 0\n") ||
		!strings.Contains(body, "watchhistory_storage_bytes ") {
		t.Errorf("got metrics %s, want watchhistory_storage_bytes above 0", body)
	}
	if n := r.log.Count("dropped a day of history", "reason=size"); n == 0 {
		t.Errorf("got %d log lines about the dropped day, want at least one", n)
	}
	var dropped []v1.Gap
	for _, g := range r.gaps(t, "") {
		if g.Reason == string(history.GapDropped) {
			dropped = append(dropped, g)
		}
	}
	if len(dropped) != 1 || dropped[0].Resource != "pods" {
		t.Errorf("got gaps of dropped days %+v, want one of pods", dropped)
	}
	for _, name := range []string{"old", "young"} {
		if got := verbs(r.events(t, "resourceName="+name)); got != "create" {
			t.Errorf("%s: got %q, want its newest version, create", name, got)
		}
	}
}
