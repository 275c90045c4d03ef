package history

import (
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is a recorded resource: a group and a plural in one API version,
// with the names that discovery gives it.
//
// A resource is watched in one API version only. Otherwise each change would
// be recorded once per version.
type Resource struct {
	Group      string   `json:"group"`
	Version    string   `json:"version"`
	Plural     string   `json:"plural"`
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`

	// Since is when the resource's history begins: when its recording began or,
	// if Trimmed, the beginning of the retention. The log sets both. Since is
	// zero before the first list is complete, and for a resource that was
	// recorded before logs stored it.
	Since   time.Time `json:"since,omitzero"`
	Trimmed bool      `json:"trimmed,omitzero"`

	// Former are the earlier definitions, newest first, of a CRD that was
	// deleted and created again with another kind or scope. Objects that were
	// recorded under them keep that kind and scope.
	Former []Definition `json:"former,omitempty"`
}

// Definition is the part of a resource that may differ after its CRD was
// deleted and created again.
type Definition struct {
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`
}

// maxFormer bounds the former definitions of a resource.
const maxFormer = 8

// After returns the resource as the replacement of an earlier one. The
// definition of before, and its former ones, follow the resource's own former
// definitions. Definitions with the same kind and scope are merged, and only
// the newest maxFormer are kept. Neither resource is modified.
func (r Resource) After(before Resource) Resource {
	all := append(slices.Clone(r.Former),
		Definition{before.Kind, before.Singular, before.ShortNames, before.Namespaced})
	r.Former = nil
	for _, d := range append(all, before.Former...) {
		same := func(kind string, namespaced bool) bool { return kind == d.Kind && namespaced == d.Namespaced }
		known := same(r.Kind, r.Namespaced) || slices.ContainsFunc(r.Former, func(f Definition) bool {
			return same(f.Kind, f.Namespaced)
		})
		if !known && len(r.Former) < maxFormer {
			r.Former = append(r.Former, d)
		}
	}
	return r
}

// Kinds returns the resource's kind, followed by its former kinds.
func (r Resource) Kinds() []string {
	kinds := []string{r.Kind}
	for _, d := range r.Former {
		if !slices.Contains(kinds, d.Kind) {
			kinds = append(kinds, d.Kind)
		}
	}
	return kinds
}

// Scoped reports whether a present or former definition of the resource is
// namespaced or, if namespaced is false, cluster-scoped.
func (r Resource) Scoped(namespaced bool) bool {
	return r.Namespaced == namespaced ||
		slices.ContainsFunc(r.Former, func(d Definition) bool { return d.Namespaced == namespaced })
}

// FormerlyMatched reports whether arg names one of the resource's former
// definitions, as [Resource.Matches] does for the current one.
func (r Resource) FormerlyMatched(arg string) bool {
	return slices.ContainsFunc(r.Former, func(d Definition) bool {
		before := r
		before.Kind, before.Singular, before.ShortNames = d.Kind, d.Singular, d.ShortNames
		return before.Matches(arg)
	})
}

// GroupResource returns the resource's identity. It does not change with the
// API version.
func (r Resource) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Plural}
}

// APIVersion returns "group/version", or "version" for the core group.
func (r Resource) APIVersion() string {
	return schema.GroupVersion{Group: r.Group, Version: r.Version}.String()
}

// Path returns the URL path of one of the resource's objects on the API
// server. An empty name gives the path of the collection, and an empty
// namespace the path across all namespaces.
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

// Matches reports whether arg names the resource in a form that kubectl
// accepts. That is the plural, singular, short name or kind, in any case, and
// optionally ".group" or ".version.group" after it.
func (r Resource) Matches(arg string) bool {
	name, rest, qualified := strings.Cut(strings.ToLower(arg), ".")
	if qualified && rest != r.Group && rest != r.Version+"."+r.Group && (r.Group != "" || rest != r.Version) {
		return false
	}
	return name != "" && (name == r.Plural || name == r.Singular || name == strings.ToLower(r.Kind) ||
		slices.Contains(r.ShortNames, name))
}

// Matching returns the resources of the catalogue that arg names.
//
// A plural takes precedence over another resource's singular, short name or
// kind. Former names count only if nothing has the name today.
func Matching(catalogue []Resource, arg string) []Resource {
	plural, _, _ := strings.Cut(strings.ToLower(arg), ".")
	var byPlural, byAny, before []Resource
	for _, r := range catalogue {
		switch {
		case !r.Matches(arg) && r.FormerlyMatched(arg):
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

// EventResources returns the resources under which Kubernetes Events may be
// recorded. Two groups serve the same Events; the configuration decides which
// of them is recorded.
func EventResources() []schema.GroupResource {
	return []schema.GroupResource{{Resource: "events"}, {Group: "events.k8s.io", Resource: "events"}}
}

// IsEventResource reports whether the objects of a resource are Kubernetes
// Events.
func IsEventResource(r schema.GroupResource) bool {
	return r.Resource == "events" && (r.Group == "" || r.Group == "events.k8s.io")
}
