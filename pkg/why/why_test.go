package why_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/why"
)

var onset = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// change returns a candidate that happened some seconds before the onset.
func change(resource string, verb history.Verb, before int, paths ...string) why.Candidate {
	group := ""
	if resource == "deployments" {
		group = "apps"
	}
	return why.Candidate{
		Change: &history.Record{
			Ref:  history.ObjectRef{Group: group, Resource: resource, Namespace: "shop", Name: "web"},
			Verb: verb, Time: onset.Add(-time.Duration(before) * time.Second),
		},
		Paths: paths,
	}
}

// TestRank_TriggerPutsOldChangeIntoEffect has changes of an hour ago that a
// restart puts into effect.
func TestRank_TriggerPutsOldChangeIntoEffect(t *testing.T) {
	const hour = 3600
	// All annotations of the template are new at the first restart.
	restart := change("deployments", history.Update, 1, "spec.template.metadata.annotations")
	for _, test := range []struct {
		symptom, resource string
		verb              history.Verb
		path              string
	}{
		{"CrashLoop", "configmaps", history.Update, "data.a"},
		{"Quota", "resourcequotas", history.Update, "spec.hard.pods"},
		{"ContainerConfig", "secrets", history.Update, "data.password"},
		{"Unschedulable", "nodes", history.Update, "spec.unschedulable"},
		{"FailedMount", "configmaps", history.Delete, ""},
	} {
		old := change(test.resource, test.verb, hour, test.path)
		old.Distance = why.Direct
		ranked := why.Rank(why.Symptom{Codes: []string{test.symptom}, Onset: onset}, []why.Candidate{restart, old})
		if got := ranked[0].Change; got != old.Change || !ranked[0].Likely() {
			t.Errorf("%s: got first %s with %.2f (second %.2f), want %s",
				test.symptom, got.Ref.Resource, ranked[0].Score, ranked[1].Score, test.resource)
		}
	}
}

func TestRank_PutsCauseFirst(t *testing.T) {
	const (
		image    = "spec.template.spec.containers[name=app].image"
		replicas = "spec.replicas"
	)
	with := func(c why.Candidate, edit func(*why.Candidate)) why.Candidate {
		edit(&c)
		return c
	}
	more := with(change("deployments", history.Update, 5, replicas), func(c *why.Candidate) { c.Delta = 2 })
	fewer := with(change("deployments", history.Update, 30, replicas), func(c *why.Candidate) { c.Delta = -2 })
	far := func(c why.Candidate) why.Candidate {
		return with(c, func(c *why.Candidate) { c.Distance = why.Nearby })
	}
	for _, test := range []struct {
		name    string
		symptom string
		healthy time.Time
		cause   why.Candidate
		other   why.Candidate
	}{
		{"fewer replicas leave no endpoints", "NoEndpoints", time.Time{}, fewer, more},
		{"more replicas exceed a quota", "Quota", time.Time{}, more, fewer},
		{
			"a change after which it was healthy", "CrashLoop", onset.Add(-time.Minute),
			with(change("configmaps", history.Update, 120, "data.a"),
				func(c *why.Candidate) { c.Distance = why.Direct }),
			change("deployments", history.Update, 300, image),
		},
		{
			"named by the symptom", "CrashLoop",
			time.Time{},
			with(far(change("services", history.Delete, 60)), func(c *why.Candidate) { c.Named = true }),
			far(change("services", history.Delete, 10)),
		},
		{
			"Pod Security refuses pods", "AdmissionDenied",
			time.Time{},
			with(change("namespaces", history.Update, 60, `metadata.labels["pod-security.kubernetes.io/enforce"]`),
				func(c *why.Candidate) { c.Distance = why.Direct }),
			change("deployments", history.Update, 1, `spec.template.metadata.annotations["restartedAt"]`),
		},
		{
			"a new claim is no cause", "Unschedulable",
			time.Time{},
			with(change("storageclasses", history.Delete, 8), func(c *why.Candidate) {
				c.Distance, c.Dangling = why.Indirect, true
			}),
			with(change("persistentvolumeclaims", history.Create, 0),
				func(c *why.Candidate) { c.Distance = why.Direct }),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := why.Symptom{Codes: []string{test.symptom}, Onset: onset, Healthy: test.healthy}
			ranked := why.Rank(s, []why.Candidate{test.other, test.cause})
			if got := ranked[0].Change; got != test.cause.Change {
				t.Errorf("got first %s %v with %.2f (second %.2f), want the other", got.Verb, got.Ref, ranked[0].Score,
					ranked[1].Score)
			}
		})
	}
}
