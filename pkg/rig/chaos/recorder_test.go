package chaos_test

import (
	"encoding/json"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// recorder is a recorder process with its database.
type recorder struct{ *recordertest.Recorder }

// newRecorder starts a recorder with an empty database, and waits until it is
// ready. It ends with the test.
func newRecorder(t *testing.T, kubeconfig string) *recorder {
	t.Helper()
	defineWidgets(t)
	r := &recorder{recordertest.New(t, binary, kubeconfig)}
	r.ready(t)
	return r
}

// ready waits until all resources are watched, including the load's custom
// resource.
func (r *recorder) ready(t *testing.T) {
	t.Helper()
	r.Ready(t, "widgets")
}

// restart ends the process with SIGTERM, and waits until a new one is ready.
func (r *recorder) restart(t *testing.T) {
	t.Helper()
	r.Terminate(t)
	r.Start(t)
	r.ready(t)
}

// events returns all records of a namespace, oldest first, without their
// objects. It checks that each object can be read and is the right one.
func (r *recorder) events(t *testing.T, namespace string) (events []v1.Event) {
	t.Helper()
	for e, err := range r.Client.All(t.Context(), client.EventsQuery{Namespace: history.NamespaceScope(namespace)}) {
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(e.ObjectChanges, &body); err != nil {
			t.Fatalf("object of %s %s at %s: %v", e.ResourceType, e.ResourceName, e.ResourceVersion, err)
		}
		if body.Kind != e.Kind || body.Metadata.Name != e.ResourceName {
			t.Errorf("%s %s at %s: got the object of %+v, want kind %s",
				e.ResourceType, e.ResourceName, e.ResourceVersion, body, e.Kind)
		}
		e.ObjectChanges = nil
		events = append(events, e)
	}
	return events
}
