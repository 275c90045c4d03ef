package query

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// CoreGroup selects the core group, whose name is empty. No API group can have
// this name.
const CoreGroup = "core"

// resolveObject returns the resources that the question's type names: those of
// the catalogue or, if there are none, those of the last discovery.
//
// If neither has any, a type that is written like a kind gives a resource with
// that kind and without a plural. Only the catalogue's resources have records
// of their own, but Events may regard objects of any type.
func (s *Service) resolveObject(catalogue []history.Resource, q Object) []history.Resource {
	if found := choose(catalogue, []string{q.Type}, q.Group); len(found) > 0 {
		return found
	}
	if found := choose(s.options.Served(), []string{q.Type}, q.Group); len(found) > 0 {
		return found
	}
	return kinds(q.Type, q.Group)
}

// kinds returns the resources that arg names as "Kind", "Kind.group" or
// "Kind.version.group": two if it may have either of the latter forms. A text
// without an upper-case letter is not a kind.
func kinds(arg, group string) []history.Resource {
	if arg == strings.ToLower(arg) {
		return nil
	}
	versioned, plain := schema.ParseKindArg(arg)
	found := []history.Resource{{Group: plain.Group, Kind: plain.Kind}}
	if versioned != nil {
		found = append(found,
			history.Resource{Group: versioned.Group, Version: versioned.Version, Kind: versioned.Kind})
	}
	if plain.Group == "" && group != "" && group != CoreGroup {
		found[0].Group = group
	}
	return choose(found, nil, group)
}

// choose returns the resources that one of the types names and that are in the
// group. No types means all, and an empty group means any.
func choose(catalogue []history.Resource, types []string, group string) []history.Resource {
	catalogue = slices.DeleteFunc(slices.Clone(catalogue), func(r history.Resource) bool {
		return group != "" && group != r.Group && (group != CoreGroup || r.Group != "")
	})
	if len(types) == 0 {
		return catalogue
	}
	var found []history.Resource
	for _, arg := range types {
		for _, r := range history.Matching(catalogue, arg) {
			if !slices.ContainsFunc(found, func(f history.Resource) bool { return same(f, r) }) {
				found = append(found, r)
			}
		}
	}
	return found
}

// same reports whether two resources have the same group and plural.
func same(a, b history.Resource) bool { return a.GroupResource() == b.GroupResource() }

// scope is the part of the cluster that a question is about: resources, as in
// [Timeline], and the namespaces of their objects.
type scope struct {
	types     []string
	group     string
	namespace history.NamespaceScope
}

// place is one resource of a scope.
type place struct {
	resource  history.Resource
	namespace history.NamespaceScope
}

// mayHold reports whether the place can contain an object. A cluster-scoped
// resource has none in a namespace, and a namespaced one has none outside.
func (p place) mayHold() bool {
	return p.namespace == history.AllNamespaces || p.resource.Scoped(p.namespace != history.ClusterScoped)
}

// mayHoldIn reports whether the place can contain an object of a namespace.
func (p place) mayHoldIn(namespace string) bool {
	return p.resource.Scoped(true) && p.namespace.Contains(namespace)
}
