package query_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

func TestIgnored_HasRulesThatTouchTheQuestion(t *testing.T) {
	l := newLog(t)
	rule := func(group, resource, namespaces, changes string) history.IgnoreRule {
		return history.IgnoreRule{
			Resource:   schema.GroupResource{Group: group, Resource: resource},
			Namespaces: strings.Fields(namespaces), Changes: strings.Fields(changes),
		}
	}
	service := query.New(l.Store, query.Options{IgnoreRules: func() []history.IgnoreRule {
		return []history.IgnoreRule{
			rule("", "", "noisy quiet", ""), rule("", "pods", "batch", ""), rule("", "nodes", "", "status.heartbeat"),
			rule("apps", "deployments", "", "status"), rule("coordination.k8s.io", "leases", "", ""),
			rule("", "events", "default", ""),
		}
	}})
	const all = "* noisy quiet; pods batch; nodes status.heartbeat; deployments.apps status; " +
		"leases.coordination.k8s.io; events default"
	for name, tt := range map[string]struct {
		q    query.Timeline
		want string
	}{
		"everything": {query.Timeline{}, all},
		"pods":       {query.Timeline{Types: []string{"po"}}, "* noisy quiet; pods batch"},
		"pods of one namespace": {
			query.Timeline{Types: []string{"po"}, Filter: history.Filter{Namespace: "quiet"}}, "* quiet",
		},
		"pods of another": {
			query.Timeline{Types: []string{"po"}, Filter: history.Filter{Namespace: "shop"}}, "",
		},
		"a namespace": {
			query.Timeline{Filter: history.Filter{Namespace: "batch"}},
			"pods batch; deployments.apps status; leases.coordination.k8s.io",
		},
		"no namespace": {
			query.Timeline{Filter: history.Filter{Namespace: history.ClusterScoped}},
			"nodes status.heartbeat; leases.coordination.k8s.io",
		},
		"nodes":   {query.Timeline{Types: []string{"no"}}, "nodes status.heartbeat"},
		"a group": {query.Timeline{Group: "apps"}, "* noisy quiet; deployments.apps status"},
		"never recorded": {
			query.Timeline{Types: []string{"leases.coordination.k8s.io"}}, "leases.coordination.k8s.io",
		},
		"unknown": {query.Timeline{Types: []string{"gizmos"}}, ""},
		"the core group": {
			query.Timeline{Group: query.CoreGroup, Types: []string{"leases", "nodes"}}, "nodes status.heartbeat",
		},
		"two, one of them nodes'": {
			query.Timeline{Types: []string{"nodes", "services"}}, "* noisy quiet; nodes status.heartbeat",
		},
	} {
		tt.q.Limit = 1
		page, err := service.Timeline(t.Context(), tt.q)
		if got := rulesText(page.Ignored); got != tt.want || err != nil {
			t.Errorf("%s: got %q, error %v, want %q", name, got, err, tt.want)
		}
	}
	for name, tt := range map[string]struct {
		q    query.Object
		want string
	}{
		"a pod":           {query.Object{Type: "pod", Namespace: "noisy"}, "* noisy"},
		"a version":       {query.Object{Type: "pod", Namespace: "default", Revisions: []uint64{1}}, ""},
		"Events of a pod": {query.Object{Type: "pod", Namespace: "default"}, "events default"},
		"a node and Events": {
			query.Object{Type: "nodes", Group: query.CoreGroup, Namespace: history.ClusterScoped},
			"* noisy quiet; nodes status.heartbeat; events default",
		},
	} {
		tt.q.Name, tt.q.Limit = "a", 1
		answer, err := service.Object(t.Context(), tt.q)
		if got := rulesText(answer.Ignored); got != tt.want || err != nil {
			t.Errorf("%s: got %q, error %v, want %q", name, got, err, tt.want)
		}
	}
}

// rulesText returns rules as "resource namespaces… changes…; …".
func rulesText(rules []history.IgnoreRule) string {
	var all []string
	for _, o := range rules {
		resource := o.Resource.String()
		if resource == "" {
			resource = "*"
		}
		all = append(all, strings.Join(append(append([]string{resource}, o.Namespaces...), o.Changes...), " "))
	}
	return strings.Join(all, "; ")
}
