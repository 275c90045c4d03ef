package access

import (
	"context"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Caller is an identity in the cluster, and answers what it may read. It is
// safe for concurrent use. The zero Caller is not known and may read nothing.
//
// All errors of its methods that decide about rights have the code
// [history.Unavailable]: the API server could not be asked, and nothing is
// decided.
type Caller struct {
	user    asker
	reviews *reviewer
	readmit func(context.Context) (asker, error) // admits the caller's request again
}

// Name returns the user's name in the cluster.
func (c *Caller) Name() string {
	if c.reviews == nil {
		return ""
	}
	return c.user.GetName()
}

// Readmit returns an error if the caller's request would not be admitted any
// more: its credentials are no longer valid, or belong to another identity. The
// identity counts with its groups. Unlike those of the other methods, the error
// may be [history.Unauthorized].
func (c *Caller) Readmit(ctx context.Context) error {
	if c.reviews == nil {
		return nil
	}
	u, err := c.readmit(ctx)
	switch {
	case err != nil:
		return err
	case u.hash != c.user.hash:
		return history.Errorf(history.Unauthorized,
			"not authenticated: the credentials are those of another identity now")
	default:
		return nil
	}
}

// List reports whether the caller may list all objects of a resource in a
// namespace scope. [history.AllNamespaces] and [history.ClusterScoped] both
// require the right in the whole cluster.
func (c *Caller) List(ctx context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error) {
	namespace, _ := scope.Namespace()
	return c.may(ctx, "list", r, namespace, "")
}

// Get reports whether the caller may get an object. An empty name means every
// object of the resource there. An empty namespace means a cluster-scoped
// object, or all namespaces.
//
// A Namespace is cluster-scoped, but the API server reviews a request for it in
// the namespace of its name. So rights in a namespace may include the right to
// get its Namespace.
func (c *Caller) Get(ctx context.Context, r schema.GroupResource, namespace, name string) (bool, error) {
	if r == (schema.GroupResource{Resource: "namespaces"}) {
		namespace = name
	}
	return c.may(ctx, "get", r, namespace, name)
}

// Path reports whether the caller may get a path of the API server that is not
// a resource, such as "/openapi/v3".
func (c *Caller) Path(ctx context.Context, path string) (bool, error) {
	if c.reviews == nil {
		return false, nil
	}
	return c.reviews.path(ctx, &c.user, path)
}

// Namespaces returns the namespaces that exist now, with the times of their
// creation in whole seconds. They are read after every right that List or Get
// has granted before, and a namespace that had records is absent only if they
// are older. The caller of Namespaces must not modify the map.
func (c *Caller) Namespaces(ctx context.Context, had history.Activity) (map[string]time.Time, error) {
	if c.reviews == nil {
		return nil, nil
	}
	return c.reviews.namespaces.list(ctx, had)
}

// may reports whether the caller has a right. Rights do not depend on the API
// version, and the cluster need not serve the resource.
func (c *Caller) may(ctx context.Context, verb string, r schema.GroupResource, namespace, name string) (bool, error) {
	if c.reviews == nil {
		return false, nil
	}
	return c.reviews.resource(ctx, &c.user, authorizationv1.ResourceAttributes{
		Verb: verb, Group: r.Group, Version: "*", Resource: r.Resource, Namespace: namespace, Name: name,
	})
}

// callerKey is the context's key of a [Caller].
type callerKey struct{}

// With returns a context with a caller.
func With(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// From returns the caller of a context. It is nil only for requests that did
// not pass a [Gate]. On a path that needs no identity it is the zero Caller.
func From(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}
