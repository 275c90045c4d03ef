package query_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// served is what the API server serves in these tests and nobody records.
func served() []history.Resource {
	return []history.Resource{
		{
			Group: "autoscaling", Version: "v2", Plural: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler",
			Kind: "HorizontalPodAutoscaler", ShortNames: []string{"hpa"}, Namespaced: true,
		},
		{Group: "argoproj.io", Version: "v1alpha1", Plural: "rollouts", Singular: "rollout", Kind: "Rollout", Namespaced: true},
	}
}

// regarding is an Event regarding an object that has no record.
func regarding(name string, target history.Target) *history.Record {
	r := event(name, ref("", "pods", "shop", target.Name, 1), "")
	r.Regarding = &target
	return r
}

func TestObject_EventsRegardingUnrecordedTypeAreRelated(t *testing.T) {
	l := newLog(t)
	hpa := history.Target{Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web", UID: "uid-hpa"}
	other := hpa
	other.Namespace = "bank"
	foreign := hpa
	foreign.Group, foreign.UID = "autoscaling.example", "uid-foreign"
	l.put(regarding("rescaled", hpa), regarding("elsewhere", other), regarding("foreign", foreign),
		regarding("groupless", history.Target{Kind: hpa.Kind, Namespace: "shop", Name: "web"}))

	discovered := l.service(query.Options{Served: served})
	alone := l.service(query.Options{})
	want := []string{"rescaled", "groupless"}
	for _, tc := range []struct {
		service     *query.Service
		arg, group  string
		want        []string
		wantPlurals string
	}{
		{discovered, "hpa", "", want, "horizontalpodautoscalers"},
		{discovered, "horizontalpodautoscalers", "", want, "horizontalpodautoscalers"},
		{discovered, "horizontalpodautoscalers.autoscaling", "", want, "horizontalpodautoscalers"},
		{discovered, "HorizontalPodAutoscaler", "autoscaling", want, "horizontalpodautoscalers"},
		{discovered, "hpa", "apps", []string{}, "hpa"},
		// A kind needs no discovery.
		{alone, "HorizontalPodAutoscaler.autoscaling", "", want, "HorizontalPodAutoscaler.autoscaling"},
		{alone, "HorizontalPodAutoscaler.v2.autoscaling", "", want, "HorizontalPodAutoscaler.v2.autoscaling"},
		{alone, "HorizontalPodAutoscaler", "autoscaling", want, "HorizontalPodAutoscaler"},
		{alone, "HorizontalPodAutoscaler.v2.autoscaling.example", "", []string{"foreign", "groupless"}, "HorizontalPodAutoscaler.v2.autoscaling.example"},
		{alone, "hpa", "", []string{}, "hpa"},
		{alone, "horizontalpodautoscalers", "", []string{}, "horizontalpodautoscalers"},
	} {
		got := ask(t, tc.service, query.Object{Namespace: "shop", Type: tc.arg, Group: tc.group, Name: "web"})
		if events := names(got.Related); !slices.Equal(events, tc.want) || got.Related.Total != len(tc.want) || len(got.Own.Versions) != 0 {
			t.Errorf("%s in group %q: got %v (%d) and %d versions, want %v", tc.arg, tc.group, events, got.Related.Total, len(got.Own.Versions), tc.want)
		}
		if got.Resource != tc.wantPlurals {
			t.Errorf("%s: got resource %q, want %q", tc.arg, got.Resource, tc.wantPlurals)
		}
	}
}

// Events give the UID of an object that has no record, and the owned objects
// name that UID.
func TestObject_DescendantsOfUnrecordedOwnerAreFound(t *testing.T) {
	l := newLog(t)
	rollout := history.Target{Group: "argoproj.io", Kind: "Rollout", Namespace: "shop", Name: "web", UID: "uid-rollout"}
	set := record(ref("apps", "replicasets", "shop", "web-1", 1), history.Create, `{}`)
	set.Owners = []types.UID{rollout.UID}
	of := ref("apps", "replicasets", "shop", "web-1", 1)
	l.put(regarding("started", rollout), set, event("scaled", of, of.UID))
	late := l.now

	q := query.Object{Namespace: "shop", Type: "rollout", Name: "web", Descendants: true}
	s := l.service(query.Options{Served: served})
	if got, want := names(ask(t, s, q).Related), []string{"started", "scaled"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// The Event that gives the UID lies outside of the window.
	q.Start = late
	if got, want := names(ask(t, s, q).Related), []string{"scaled"}; !slices.Equal(got, want) {
		t.Errorf("since the last Event: got %v, want %v", got, want)
	}
}
