package history

import (
	"path"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// ObjectRef identifies one incarnation of an object: the life of one UID under
// a name. The API version is not part of it, because one object can be read in
// several versions.
type ObjectRef struct {
	Group     string
	Resource  string // plural, lower case
	Namespace string // empty for cluster-scoped objects
	Name      string
	UID       types.UID
}

// GroupResource returns the resource that the object belongs to.
func (o ObjectRef) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: o.Group, Resource: o.Resource}
}

// Scope returns the object's namespace as a scope, or [ClusterScoped].
func (o ObjectRef) Scope() NamespaceScope { return ScopeOf(o.Namespace) }

// String returns "pods shop/web-1", or "nodes node-1" for cluster-scoped
// objects. The resource has its group unless that is the core group.
func (o ObjectRef) String() string {
	return o.GroupResource().String() + " " + path.Join(o.Namespace, o.Name)
}

// NamespaceScope selects objects by their namespace: all objects, only the
// cluster-scoped ones, or those of one namespace. Scopes are comparable, and
// the zero NamespaceScope is [AllNamespaces].
//
// The text of a scope is fixed by the REST API: "", "-" or the namespace. "-"
// can't be the name of a namespace. A plain namespace, whose "" means
// "cluster-scoped", is converted with [ScopeOf].
type NamespaceScope string

// The scopes that are not one namespace.
const (
	AllNamespaces NamespaceScope = ""  // all objects, including cluster-scoped ones
	ClusterScoped NamespaceScope = "-" // objects without a namespace
)

// ScopeOf returns the scope of the objects whose namespace is the given one.
// An empty namespace is that of cluster-scoped objects.
func ScopeOf(namespace string) NamespaceScope {
	if namespace == "" {
		return ClusterScoped
	}
	return NamespaceScope(namespace)
}

// ParseNamespaceScope is the inverse of [NamespaceScope.String]. It accepts
// every text: whether a namespace of that name exists is not checked.
func ParseNamespaceScope(text string) NamespaceScope { return NamespaceScope(text) }

// String returns the scope as the REST API writes it.
func (s NamespaceScope) String() string { return string(s) }

// Namespace returns the namespace of the objects in the scope, which is "" for
// cluster-scoped objects. It reports false for [AllNamespaces].
func (s NamespaceScope) Namespace() (string, bool) {
	switch s {
	case AllNamespaces:
		return "", false
	case ClusterScoped:
		return "", true
	default:
		return string(s), true
	}
}

// Contains reports whether objects of a namespace are in the scope. An empty
// namespace is that of cluster-scoped objects.
func (s NamespaceScope) Contains(namespace string) bool {
	return s == AllNamespaces || s == ScopeOf(namespace)
}

// Older reports whether a resourceVersion is known to precede another one of
// the same resource. It returns false if the server's resourceVersions are not
// decimal numbers, because these have no order.
func Older(rv, than string) bool {
	order, err := resourceversion.CompareResourceVersion(rv, than)
	return err == nil && order < 0
}
