package symptom_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/symptom"
)

func TestHealthOf_Cases(t *testing.T) {
	for _, c := range load(t, "health.json") {
		t.Run(c.Resource+"/"+c.Name, func(t *testing.T) {
			health := symptom.HealthOf(c.record(t))
			if got := health.State.String() + ": " + health.Text; got != c.Health {
				t.Errorf("got %q, want %q", got, c.Health)
			}
		})
	}
}

func TestHealthOf_EachResourceHasCases(t *testing.T) {
	states := map[string]map[string]bool{}
	for _, c := range load(t, "health.json") {
		state, _, _ := strings.Cut(c.Health, ": ")
		if states[c.Resource] == nil {
			states[c.Resource] = map[string]bool{}
		}
		states[c.Resource][state] = true
	}
	for _, resource := range symptom.Gauged() {
		if resource != "replicationcontrollers" && len(states[resource]) < 2 {
			t.Errorf("%s: got states %v, want at least two", resource, states[resource])
		}
	}
}

// An object that is ready has no symptoms, except those that do not make it
// fail.
func TestHealthOf_ReadyMeansNoSymptoms(t *testing.T) {
	for _, c := range load(t, "health.json") {
		r := c.record(t)
		symptoms := symptom.Of(r)
		for _, s := range symptoms {
			if symptom.HealthOf(r).State == symptom.Ready && s.Code != "ScalerLimited" && s.Code != "ProgressDeadline" {
				t.Errorf("%s/%s: got %+v of a ready object, want nothing", c.Resource, c.Name, s)
			}
		}
	}
}
