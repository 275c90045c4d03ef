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

	// Former are the definitions before, the newest first: a CRD can be deleted and created again with another kind or
	// another scope. Objects recorded under them have kept their kind and their namespace.
	Former []Definition `json:"former,omitempty"`
}

// Definition is what a CRD says of a resource, and may say differently when it is created again.
type Definition struct {
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`
}

// mostFormer bounds the former definitions of a resource.
const mostFormer = 8

// After returns the resource with the former definitions that it has if it takes the place of another one.
func (r Resource) After(before Resource) Resource {
	all := append(slices.Clone(r.Former), Definition{before.Kind, before.Singular, before.ShortNames, before.Namespaced})
	r.Former = nil
	for _, d := range append(all, before.Former...) {
		same := func(kind string, namespaced bool) bool { return kind == d.Kind && namespaced == d.Namespaced }
		known := same(r.Kind, r.Namespaced) || slices.ContainsFunc(r.Former, func(f Definition) bool { return same(f.Kind, f.Namespaced) })
		if !known && len(r.Former) < mostFormer {
			r.Former = append(r.Former, d)
		}
	}
	return r
}

// Kinds returns the resource's kind, and those that it had.
func (r Resource) Kinds() []string {
	kinds := []string{r.Kind}
	for _, d := range r.Former {
		if !slices.Contains(kinds, d.Kind) {
			kinds = append(kinds, d.Kind)
		}
	}
	return kinds
}

// Scoped reports whether the resource has, or had, objects in namespaces or, if namespaced is false, in none.
func (r Resource) Scoped(namespaced bool) bool {
	return r.Namespaced == namespaced ||
		slices.ContainsFunc(r.Former, func(d Definition) bool { return d.Namespaced == namespaced })
}

// WasNamed is [Resource.Named] for the names of former definitions.
func (r Resource) WasNamed(arg string) bool {
	return slices.ContainsFunc(r.Former, func(d Definition) bool {
		before := r
		before.Kind, before.Singular, before.ShortNames = d.Kind, d.Singular, d.ShortNames
		return before.Matches(arg)
	})
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
func (r Resource) Matches(arg string) bool {
	name, rest, qualified := strings.Cut(strings.ToLower(arg), ".")
	if qualified && rest != r.Group && rest != r.Version+"."+r.Group && (r.Group != "" || rest != r.Version) {
		return false
	}
	return name != "" && (name == r.Plural || name == r.Singular || name == strings.ToLower(r.Kind) || slices.Contains(r.ShortNames, name))
}

// Matching returns the resources that arg names, in any form that kubectl takes. A plural that is spelled out wins over
// another resource's short name or kind, and these over the names of former definitions.
func Matching(catalogue []Resource, arg string) []Resource {
	plural, _, _ := strings.Cut(strings.ToLower(arg), ".")
	var byPlural, byAny, before []Resource
	for _, r := range catalogue {
		switch {
		case !r.Matches(arg) && r.WasNamed(arg):
			before = append(before, r)
		case !r.Matches(arg):
		case r.Plural == plural:
			byPlural = append(byPlural, r)
		default:
			byAny = append(byAny, r)
		}
	}
	switch {
	case len(byPlural) > 0:
		return byPlural
	case len(byAny) > 0:
		return byAny
	default:
		return before
	}
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
