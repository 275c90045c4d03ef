package history

import (
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// NoNamespace stands, wherever a namespace is asked for, for "of no namespace": cluster-scoped objects. It can be no
// namespace's name.
const NoNamespace = "-"

// Resource is what is watched: a GroupResource in one API version, with the names that discovery gives it. One resource
// is watched in one version only, or each change would be recorded once a version.
type Resource struct {
	Group      string   `json:"group"`
	Version    string   `json:"version"`
	Plural     string   `json:"plural"`
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`

	// Since is from when on the log has the changes of the resource's objects:
	// when recording of them began or, if it is trimmed, where what retention has
	// left of that begins. The log sets both. Since is zero before the first sync
	// has ended, and for a resource that was recorded before logs kept it.
	Since   time.Time `json:"since,omitzero"`
	Trimmed bool      `json:"trimmed,omitzero"`
}

// GroupResource returns the resource's identity, which no change of API version moves.
func (r Resource) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Plural}
}

// APIVersion returns "group/version", or only the version for the core group.
func (r Resource) APIVersion() string {
	return schema.GroupVersion{Group: r.Group, Version: r.Version}.String()
}

// Path returns the URL path of one of the resource's objects on the API server; with an empty name, of the collection.
// With an empty namespace it is the path across all namespaces.
func (r Resource) Path(namespace, name string) string {
	root := "/apis/" + r.Group
	if r.Group == "" {
		root = "/api"
	}
	if namespace == "" {
		return path.Join(root, r.Version, r.Plural, name)
	}
	return path.Join(root, r.Version, "namespaces", namespace, r.Plural, name)
}

// Named tells whether arg names the resource in one of the forms that kubectl takes: plural, singular, short name or
// kind without regard to case, and each of these followed by ".group" or ".version.group".
func (r Resource) Named(arg string) bool {
	name, rest, qualified := strings.Cut(strings.ToLower(arg), ".")
	if qualified && rest != r.Group && rest != r.Version+"."+r.Group && (r.Group != "" || rest != r.Version) {
		return false
	}
	return name != "" && (name == r.Plural || name == r.Singular || name == strings.ToLower(r.Kind) || slices.Contains(r.ShortNames, name))
}

// ObjectRef identifies one incarnation of an object: the life of one UID under a name. The API version is no part of it.
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

// String returns "pods shop/web-1" or, for cluster-scoped objects, "nodes node-1", with the group where there is one.
func (o ObjectRef) String() string {
	return o.GroupResource().String() + " " + path.Join(o.Namespace, o.Name)
}
