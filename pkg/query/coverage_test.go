package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// begin commits the first checkpoints of resources, which starts their history.
func (l *log) begin(resources ...string) {
	l.t.Helper()
	batch := &history.Batch{}
	for _, r := range resources {
		plural, group, _ := strings.Cut(r, ".")
		batch.Checkpoints = append(batch.Checkpoints, history.Checkpoint{Group: group, Resource: plural, RV: "1"})
	}
	if err := l.Append(l.t.Context(), batch); err != nil {
		l.t.Fatal(err)
	}
}

func absence(group, plural, shortName string, namespaced bool, reason string) history.UnrecordedResource {
	return history.UnrecordedResource{Reason: reason, Resource: history.Resource{
		Group: group, Version: "v1", Plural: plural, Kind: "A " + plural,
		ShortNames: []string{shortName}, Namespaced: namespaced,
	}}
}

// coverageText returns a coverage as "+5m; late a +6m; b reason".
func coverageText(c query.Coverage, from time.Time) string {
	parts := []string{"unknown"}
	if !c.Since.IsZero() {
		parts[0] = "+" + c.Since.Sub(from).String()
	}
	for _, r := range c.Late {
		parts = append(parts, fmt.Sprintf("late %s +%s", r.GroupResource(), r.Since.Sub(from)))
	}
	for _, a := range c.Unrecorded {
		parts = append(parts, a.Resource.GroupResource().String()+" "+a.Reason)
	}
	return strings.Join(parts, "; ")
}

func TestCoverage_HasStartAndUnrecordedResources(t *testing.T) {
	l := newLog(t)
	began := l.now
	l.begin("pods", "nodes", "events", "services", "services.serving.knative.dev",
		"deployments.apps", "replicasets.apps")
	l.now = l.now.Add(time.Hour)
	l.begin("widgets.example.com")
	service := query.New(l.Store, query.Options{Unrecorded: func() []history.UnrecordedResource {
		return []history.UnrecordedResource{
			absence("rbac.authorization.k8s.io", "roles", "rl", true, "forbidden"),
			absence("rbac.authorization.k8s.io", "clusterroles", "", false, "forbidden"),
			absence("metrics.k8s.io", "pods", "", true, "not_watchable"),
			absence("coordination.k8s.io", "leases", "ls", true, "excluded"),
		}
	}})
	const (
		namespaced = "roles.rbac.authorization.k8s.io forbidden; pods.metrics.k8s.io not_watchable; " +
			"leases.coordination.k8s.io excluded"
		late = "late widgets.example.com +1h0m0s"
	)
	in := func(namespace history.NamespaceScope, start time.Duration, types ...string) query.Timeline {
		return query.Timeline{
			Types: types, Limit: 1, Filter: history.Filter{Namespace: namespace, Start: began.Add(start)},
		}
	}
	for name, tt := range map[string]struct {
		q    query.Timeline
		want string
	}{
		"a namespace": {in("shop", -time.Hour), "+0s; " + late + "; " + namespaced},
		"cluster-scoped": {
			in(history.ClusterScoped, -time.Hour), "+0s; clusterroles.rbac.authorization.k8s.io forbidden",
		},
		"pods":                  {in("shop", 0, "po"), "+0s"},
		"pods and widgets":      {in("shop", 0, "pods", "widget"), "+0s; " + late},
		"after all began":       {in("shop", 2*time.Hour, "pods", "widget"), "+0s"},
		"widgets":               {in("shop", 0, "widgets"), "+1h0m0s"},
		"not recorded":          {in("shop", 0, "ls"), "unknown; leases.coordination.k8s.io excluded"},
		"both":                  {in("shop", 0, "ls", "pods"), "+0s; leases.coordination.k8s.io excluded"},
		"metrics, by full name": {in("shop", 0, "pods.metrics.k8s.io"), "unknown; pods.metrics.k8s.io not_watchable"},
		"unknown type":          {in("shop", 0, "gizmos"), "unknown"},
		"a group": {
			query.Timeline{Group: "rbac.authorization.k8s.io", Limit: 1},
			"unknown; roles.rbac.authorization.k8s.io forbidden; clusterroles.rbac.authorization.k8s.io forbidden",
		},
	} {
		page, err := service.Timeline(t.Context(), tt.q)
		if got := coverageText(page.Coverage, began); got != tt.want || err != nil {
			t.Errorf("%s: got %q, error %v, want %q", name, got, err, tt.want)
		}
	}
	q := query.Object{Type: "roles", Namespace: "shop", Name: "a", Limit: 1}
	answer, err := service.Object(t.Context(), q)
	got, want := coverageText(answer.Coverage, began), "+0s; roles.rbac.authorization.k8s.io forbidden"
	if got != want || err != nil {
		t.Errorf("an object and its Events: got %q, error %v, want %q", got, err, want)
	}
}

// A log of an earlier release lacks the start of some resources. The coverage
// then has no start, because the earliest one may be missing.
func TestCoverage_HasNoStartIfOneIsUnknown(t *testing.T) {
	l := newLog(t)
	l.begin("pods", "nodes")
	service := query.New(l.Store, query.Options{})
	for types, want := range map[string]string{
		"": "unknown", "pods": "+0s", "pods,services": "unknown", "services": "unknown",
	} {
		q := query.Timeline{Limit: 1}
		if types != "" {
			q.Types = strings.Split(types, ",")
		}
		page, err := service.Timeline(t.Context(), q)
		if got := coverageText(page.Coverage, l.now); got != want || err != nil {
			t.Errorf("%q: got %q, error %v, want %q", types, got, err, want)
		}
	}
}
