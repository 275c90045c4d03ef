package query

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// everyResource is the name of all resources, and of all groups, in a right.
const everyResource = "*"

// restricted reports whether the caller may read less than the scopes contain.
// name is the name of the objects that the question is about, or empty. all is
// what is known of the scopes, and view what the caller can see.
//
// The result depends on rights, and on resources of which the caller may see
// objects. It reveals nothing else: a type that names only hidden resources has
// the result of a type that was never recorded. The objects of an earlier
// namespace with the same name don't count.
func (s *Service) restricted(
	ctx context.Context, all sight, view history.View, name string, scopes ...scope,
) (bool, error) {
	if s.caller == nil {
		return false, nil
	}
	for _, of := range scopes {
		asked := [][]history.Resource{nil}
		for i, arg := range of.types {
			asked = append(asked[:i], all.resources(scope{[]string{arg}, of.group, of.namespace}))
		}
		for _, known := range asked {
			if may, err := s.mayReadAll(ctx, known, view, of, name); !may || err != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// mayReadAll reports whether the caller may read all objects of a scope's
// resources. known are those that a type of the scope names. If none of them
// has objects there, the right to read every resource of the scope's group is
// required.
func (s *Service) mayReadAll(
	ctx context.Context, known []history.Resource, view history.View, of scope, name string,
) (bool, error) {
	var required []schema.GroupResource
	namespace, one := of.namespace.Namespace()
	hidden := false
	for _, r := range known {
		if view.Touches(r.GroupResource()) {
			required = append(required, r.GroupResource())
		} else if !one || r.Scoped(namespace != "") {
			hidden = true
		}
	}
	switch {
	case len(required) > 0:
	case hidden:
		return false, nil // the caller lacks the right to read every resource
	case of.group == "":
		required = []schema.GroupResource{{Group: everyResource, Resource: everyResource}}
	case of.group == CoreGroup:
		required = []schema.GroupResource{{Resource: everyResource}}
	default:
		required = []schema.GroupResource{{Group: of.group, Resource: everyResource}}
	}
	for _, r := range required {
		if may, err := s.mayReadScope(ctx, r, of.namespace, name); !may || err != nil {
			return false, err
		}
	}
	return true, nil
}

// mayReadScope reports whether the caller may read all objects of a resource in
// a namespace scope or, if name is not empty, those with that name. Nothing of
// a namespace that does not exist now may be read.
func (s *Service) mayReadScope(
	ctx context.Context, r schema.GroupResource, of history.NamespaceScope, name string,
) (bool, error) {
	may, err := s.caller.List(ctx, r, history.AllNamespaces)
	if namespace, one := of.Namespace(); one && !may && err == nil {
		if may, err = s.mayRead(ctx, r, namespace, name); !may || err != nil {
			return false, rightsError(err)
		}
		// The namespaces are read after the rights: see [Authorizer].
		since, err := s.created(ctx, []string{namespace}, history.Activity{})
		_, may = since[namespace]
		return may, rightsError(err)
	}
	return may, rightsError(err)
}

// rightsError returns a [RightsError], or nil if err is nil.
func rightsError(err error) error {
	if err == nil {
		return nil
	}
	return &RightsError{err}
}
