package chaos_test

import (
	"encoding/json"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// recorder is the recorder's own binary over one database.
type recorder struct{ *recordertest.Recorder }

// newRecorder starts a recorder with a database of its own that ends with the test, and waits until it is ready.
func newRecorder(t *testing.T, kubeconfig string) *recorder {
	t.Helper()
	define(t)
	r := &recorder{recordertest.New(t, binary, kubeconfig)}
	r.ready(t)
	return r
}

// ready waits until everything is watched that is to be recorded, the custom resource of the load too.
func (r *recorder) ready(t *testing.T) {
	t.Helper()
	r.Ready(t, "widgets")
}

// restart ends the process in an orderly way and waits until the next is ready.
func (r *recorder) restart(t *testing.T) {
	t.Helper()
	r.Terminate(t)
	r.Start(t)
	r.ready(t)
}

// events returns everything that is recorded in a namespace, oldest first, and has looked into the bodies: a version that
// can't be read back is none.
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
			t.Fatalf("body of %s %s at %s: %v", e.ResourceType, e.ResourceName, e.ResourceVersion, err)
		}
		if body.Kind != e.Kind || body.Metadata.Name != e.ResourceName {
			t.Errorf("%s %s at %s has the body of %+v", e.ResourceType, e.ResourceName, e.ResourceVersion, body)
		}
		e.ObjectChanges = nil
		events = append(events, e)
	}
	return events
}
