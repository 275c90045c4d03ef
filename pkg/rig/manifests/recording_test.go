package manifests_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// patience bounds how long the recorder may take to list the cluster.
const patience = time.Minute

// TestRole_SufficesForRecorder runs a daemon with the configuration of the
// manifests and the rights of their role.
func TestRole_SufficesForRecorder(t *testing.T) {
	w := recorder(t)
	kubectl(t, "apply", "-f", "testdata/crd.yaml")
	kubectl(t, "wait", "--for=condition=Established", "crd/lamps.house.example.com", "--timeout=30s")
	config, err := daemon.ParseConfig([]byte(w.config))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerPort, config.SecurePort = 0, daemon.NoPort
	url := "http://" + recordertest.RunDaemon(t, asRecorder(), config).Address()

	deadline, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		waiting := notWatched(t, url)
		if len(waiting) == 0 {
			return
		}
		select {
		case <-deadline.Done():
			t.Fatalf("got resources that are not watched after %v: %v, want none", patience, waiting)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// minKinds is fewer than the kinds of any current API server that are recorded
// by default.
const minKinds = 50

// notWatched returns the resources that should be watched and are not, with
// their states and reasons.
func notWatched(t *testing.T, url string) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+v1.ResourcesPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list v1.ResourceList
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var waiting []string
	watched := 0
	for _, r := range list.Resources {
		switch r.State {
		case "watching":
			watched++
		case "excluded", "not_watchable":
		default:
			waiting = append(waiting, fmt.Sprintf("%s: %s: %s", r.Plural, r.State, r.Reason))
		}
	}
	if watched < minKinds {
		waiting = append(waiting, fmt.Sprintf("got %d watched resources, want at least %d", watched, minKinds))
	}
	return waiting
}
