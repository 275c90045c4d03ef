package daemon_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// warn creates an Event that regards an object, as a controller does. It
// returns the name.
func warn(t *testing.T, name, namespace, about string) string {
	t.Helper()
	apply(t, fmt.Sprintf(`{"apiVersion":"v1","kind":"Event","metadata":{"name":%q,"namespace":%q},"involvedObject":{%s},
		"type":"Warning","reason":"Probed","message":"about %s","lastTimestamp":"2026-01-02T03:04:05Z"}`, name, namespace, about, name))
	return name
}

// relatedTo returns the names of the Events that regard the object of a path.
func (r *running) relatedTo(t *testing.T, path string) (names []string) {
	t.Helper()
	_, body := r.get(t, v1.EventsPath+"/"+path)
	var h v1.ObjectHistory
	_ = json.Unmarshal([]byte(body), &h) // a 404 has no Events
	for _, e := range h.RelatedEvents {
		names = append(names, e.ResourceName)
	}
	return names
}

func TestRelated_FindsEventsOfUnrecordedObjects(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "related")
	// Only Events are recorded: there is no record of the objects they regard.
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) {
		c.DiscoverCRDs = false
		c.Resources = []history.Resource{{Version: "v1", Plural: "events", Kind: "Event", Namespaced: true}}
	})
	warn(t, "scaler", "related",
		`"apiVersion":"autoscaling/v2","kind":"HorizontalPodAutoscaler","namespace":"related","name":"web","uid":"1"`)
	warn(t, "lease", "related",
		`"apiVersion":"coordination.k8s.io/v1","kind":"Lease","namespace":"related","name":"web"`)
	// The API server refuses an Event outside of "default" whose object has
	// another namespace than its own.
	warn(t, "inside", "related", `"apiVersion":"v1","kind":"Namespace","namespace":"related","name":"related"`)
	warn(t, "outside", "default", `"apiVersion":"v1","kind":"Namespace","name":"related"`)
	warn(t, "class", "related", `"kind":"StorageClass","namespace":"related","name":"fast"`)
	warn(t, "default", "default", `"apiVersion":"v1","kind":"Pod","name":"lost"`)
	for path, want := range map[string][]string{
		"related/hpa/web":                          {"scaler"},
		"related/horizontalpodautoscalers/web":     {"scaler"},
		"related/HorizontalPodAutoscaler/web":      {"scaler"},
		"related/leases.coordination.k8s.io/web":   {"lease"},
		"-/ns/related":                             {"inside", "outside"},
		"-/namespaces/related":                     {"inside", "outside"},
		"-/storageclasses/fast":                    {"class"},
		"default/pods/lost":                        {"default"},
		"related/pods/web":                         nil,
		"elsewhere/horizontalpodautoscalers/web":   nil,
		"related/horizontalpodautoscalers/unheard": nil,
	} {
		r.eventually(t, "the Events regarding "+path, func() (bool, string) {
			got := r.relatedTo(t, path)
			return slices.Equal(got, want), fmt.Sprintf("got %v, want %v", got, want)
		})
	}
}

// TestEvent_ExpiryHasNoReason deletes an Event. The API server does this after
// an hour, and a watch can't distinguish the two.
func TestEvent_ExpiryHasNoReason(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), nil)
	name := warn(t, "expiring", "default", `"apiVersion":"v1","kind":"Pod","namespace":"default","name":"web"`)
	kubectl(t, "delete", "event", name)
	var events []v1.Event
	r.eventually(t, "the expiry is recorded", func() (bool, string) {
		events = r.events(t, "resourceType=events&resourceName="+name)
		return verbs(events) == "create delete", verbs(events)
	})
	if got, want := events[0].Message, "Create events default/expiring: Probed: about expiring"; got != want {
		t.Errorf("creation: got message %q, want %q", got, want)
	}
	if got, want := events[1].Message, "Delete events default/expiring"; got != want || events[1].Summary != "" {
		t.Errorf("expiry: got message %q and summary %q, want %q and none", got, events[1].Summary, want)
	}
}
