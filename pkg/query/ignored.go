package query

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ignored returns the rules that ignore a part of the scopes, each with only
// those namespaces that are in a scope.
func (s sight) ignored(scopes ...scope) []history.IgnoreRule {
	if len(s.rules) == 0 {
		return nil
	}
	known := withIgnored(s.catalogue, s.rules)
	var places []place
	for _, scope := range scopes {
		for _, r := range choose(known, scope.types, scope.group) {
			places = append(places, place{r, scope.namespace})
		}
	}
	var touching []history.IgnoreRule
	for _, rule := range s.rules {
		if rule, touches := restrict(rule, places); touches {
			touching = append(touching, rule)
		}
	}
	return touching
}

// withIgnored adds the resources that were never recorded because a rule
// ignores all of them. Only their plural and group are known.
func withIgnored(catalogue []history.Resource, rules []history.IgnoreRule) []history.Resource {
	all := slices.Clone(catalogue)
	for _, rule := range rules {
		recorded := slices.ContainsFunc(catalogue, func(r history.Resource) bool {
			return r.GroupResource() == rule.Resource
		})
		if rule.Whole() && !recorded {
			all = append(all, history.Resource{Group: rule.Resource.Group, Plural: rule.Resource.Resource})
		}
	}
	return all
}

// restrict returns the part of a rule that touches the places, and whether
// there is one.
func restrict(rule history.IgnoreRule, places []place) (history.IgnoreRule, bool) {
	touches, namespaces := false, []string(nil)
	for _, p := range places {
		if rule.Resource != (schema.GroupResource{}) && rule.Resource != p.resource.GroupResource() {
			continue
		}
		touches = touches || rule.Whole() || len(rule.Changes) > 0 && p.mayHold()
		for _, namespace := range rule.Namespaces {
			if p.mayHoldIn(namespace) && !slices.Contains(namespaces, namespace) {
				namespaces = append(namespaces, namespace)
			}
		}
	}
	rule.Namespaces = namespaces
	return rule, touches || len(namespaces) > 0
}
