package query

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// scope is where a question looks: at resources, as in [Timeline], and at their objects in one namespace, in none, or in all
// with "".
type scope struct {
	types     []string
	group     string
	namespace string
}

// place is one resource of a scope.
type place struct {
	resource  history.Resource
	namespace string
}

// omitted returns what the rules that hold now leave out of the scopes; of a rule's namespaces, those that lie in one.
func (s *Service) omitted(ctx context.Context, scopes ...scope) ([]history.IgnoreRule, error) {
	rules := s.options.Omissions()
	if len(rules) == 0 {
		return nil, nil
	}
	known, err := s.reader.Resources(ctx)
	if err != nil {
		return nil, err
	}
	known = withOmitted(known, rules)
	var places []place
	for _, scope := range scopes {
		for _, r := range choose(known, scope.types, scope.group) {
			places = append(places, place{r, scope.namespace})
		}
	}
	var touching []history.IgnoreRule
	for _, o := range rules {
		if o, touches := within(o, places); touches {
			touching = append(touching, o)
		}
	}
	return touching, nil
}

// withOmitted adds the resources that were never recorded because a rule leaves them out. They have but a plural and a group.
func withOmitted(catalogue []history.Resource, rules []history.IgnoreRule) []history.Resource {
	all := slices.Clone(catalogue)
	for _, o := range rules {
		recorded := slices.ContainsFunc(catalogue, func(r history.Resource) bool { return r.GroupResource() == o.Resource })
		if o.Whole() && !recorded {
			all = append(all, history.Resource{Group: o.Resource.Group, Plural: o.Resource.Resource})
		}
	}
	return all
}

// within returns what of an omission touches the places, and whether anything does.
func within(o history.IgnoreRule, places []place) (history.IgnoreRule, bool) {
	touches, namespaces := false, []string(nil)
	for _, p := range places {
		if o.Resource != (schema.GroupResource{}) && o.Resource != p.resource.GroupResource() {
			continue
		}
		touches = touches || o.Whole() || len(o.Changes) > 0 && p.holds()
		for _, namespace := range o.Namespaces {
			if p.reaches(namespace) && !slices.Contains(namespaces, namespace) {
				namespaces = append(namespaces, namespace)
			}
		}
	}
	o.Namespaces = namespaces
	return o, touches || len(namespaces) > 0
}

// holds tells whether the place can hold an object at all: none that is in no namespace is looked for in one.
func (p place) holds() bool {
	return p.namespace == "" || p.resource.Scoped(p.namespace != history.NoNamespace)
}

// reaches tells whether the place can hold an object of the namespace.
func (p place) reaches(namespace string) bool {
	return p.resource.Scoped(true) && (p.namespace == "" || p.namespace == namespace)
}
