package cli_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// writeNewerEvents records a Deployment, one Event of events.k8s.io, and a gap
// of Events.
func (r *recording) writeNewerEvents(t *testing.T) {
	t.Helper()
	events := history.Resource{Group: "events.k8s.io", Version: "v1", Plural: "events", Kind: "Event", Namespaced: true}
	if err := r.log.Register(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	r.writeDeployment()
	r.write(10*time.Minute, &history.Record{
		Ref: ref("events.k8s.io", "events", "shop", "scaled", "uid-scaled"), Kind: "Event", Verb: history.Create,
		Regarding: &history.Target{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "uid-web"},
		Object: []byte(`{"type":"Normal","reason":"ScalingReplicaSet","note":"Scaled up",` +
			`"regarding":{"kind":"Deployment","name":"web"},"deprecatedCount":5,
			"deprecatedFirstTimestamp":"` + r.now.Add(-time.Hour).Format(time.RFC3339) +
			`","deprecatedLastTimestamp":"` + r.now.Add(-11*time.Minute).Format(time.RFC3339) + `",
			"deprecatedSource":{"component":"deployment-controller"}}`),
	})
	r.writeGaps(6*time.Minute, 5*time.Minute, history.GapDisconnected, "",
		schema.GroupResource{Group: "events.k8s.io", Resource: "events"})
}

// TestRelated_ReadsNewerEvents checks a recorder that is configured to record
// the Events of events.k8s.io.
func TestRelated_ReadsNewerEvents(t *testing.T) {
	r := newRecording(t)
	r.writeNewerEvents(t)
	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out, "related", "deploy/web", "--recorder-url", r.url, "-n", "shop",
		"-o", "wide", "--server", "http://127.0.0.1:1", "--cache-dir", t.TempDir())
	want := `LAST SEEN          TYPE     REASON              OBJECT           SOURCE                  NAME     MESSAGE
-- recorder saw no events.events.k8s.io from 6m to 5m (disconnected) --
11m (x5 over 60m)   Normal   ScalingReplicaSet   deployment/web   deployment-controller   scaled   Scaled up
`
	if code != 0 || strings.ReplaceAll(out.String(), " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got exit code %d, stderr %s, stdout\n%swant exit code 0 and\n%s", code, stderr, out.String(), want)
	}
}

// testNewerEvents checks Events that are recorded from another group than the
// one that discovery prefers.
func testNewerEvents(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	r := newRecording(t, "events")
	r.writeNewerEvents(t)
	for _, args := range []string{
		"get ev -o name", "get events.events.k8s.io -o name", "history events scaled -o name",
	} {
		var out bytes.Buffer
		code, stderr := run(t.Context(), r, &out, append(strings.Fields(args), "-n", "shop", "--recorder-url", r.url,
			"--kubeconfig", cluster.Kubeconfig, "--cache-dir", t.TempDir())...)
		if code != 0 || out.String() != "event.events.k8s.io/scaled\n" || strings.Contains(stderr, "not record") {
			t.Errorf("%s: got exit code %d, stdout %q, stderr %q, want 0 and the Event",
				args, code, out.String(), stderr)
		}
	}
}
