package query_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// served returns resources that the API server serves and that are not
// recorded.
func served() []history.Resource {
	return []history.Resource{
		{
			Group: "autoscaling", Version: "v2", Plural: "horizontalpodautoscalers",
			Singular: "horizontalpodautoscaler",
			Kind:     "HorizontalPodAutoscaler", ShortNames: []string{"hpa"}, Namespaced: true,
		},
		{
			Group: "argoproj.io", Version: "v1alpha1", Plural: "rollouts",
			Singular: "rollout", Kind: "Rollout", Namespaced: true,
		},
	}
}

// regarding returns an Event regarding an object without a record.
func regarding(name string, target history.Target) *history.Record {
	r := event(name, ref("", "pods", "shop", target.Name, 1), "")
	r.Regarding = &target
	return r
}

func TestObject_EventsRegardingUnrecordedTypeAreRelated(t *testing.T) {
	l := newLog(t)
	hpa := history.Target{
		Group: "autoscaling", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "web", UID: "uid-hpa",
	}
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
		service      *query.Service
		arg, group   string
		want         []string
		wantResource string
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
		{
			alone, "HorizontalPodAutoscaler.v2.autoscaling.example", "",
			[]string{"foreign", "groupless"},
			"HorizontalPodAutoscaler.v2.autoscaling.example",
		},
		{alone, "hpa", "", []string{}, "hpa"},
		{alone, "horizontalpodautoscalers", "", []string{}, "horizontalpodautoscalers"},
	} {
		got := ask(t, tc.service, query.Object{Namespace: "shop", Type: tc.arg, Group: tc.group, Name: "web"})
		if events := names(got.Related); !slices.Equal(events, tc.want) ||
			got.Related.Total != len(tc.want) || len(got.Own.Versions) != 0 {
			t.Errorf("%s in group %q: got Events %v (total %d) and %d versions, want Events %v and no version",
				tc.arg, tc.group, events, got.Related.Total, len(got.Own.Versions), tc.want)
		}
		if got.Resource != tc.wantResource {
			t.Errorf("%s: resource: got %q, want %q", tc.arg, got.Resource, tc.wantResource)
		}
	}
}

// Events name the UID of the object, which has no record. Its descendants refer
// to that UID.
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
		t.Errorf("Events: got %v, want %v", got, want)
	}
	// The Event that names the UID is outside of the window.
	q.Start = late
	if got, want := names(ask(t, s, q).Related), []string{"scaled"}; !slices.Equal(got, want) {
		t.Errorf("Events since the last one: got %v, want %v", got, want)
	}
}
