package api

import (
	"net/http"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The states of resources that are not recorded now. A resource that was
// recorded earlier is stopped, also if the configuration does not select it.
const (
	stateStopped       = "stopped"
	stateNotConfigured = "not_configured"
)

// resources writes the catalogue: the resources with a state, followed by those
// that were only recorded earlier. It is the endpoint [v1.ResourcesPath].
func (h *handler) resources(w http.ResponseWriter, r *http.Request) {
	states := h.options.States()
	seen, err := h.ask(r.Context()).Resources(r.Context(), named(states)...)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list := v1.ResourceList{Resources: []v1.Resource{}}
	for _, state := range states {
		if gr := (schema.GroupResource{Group: state.Group, Resource: state.Plural}); seen.Sees(gr) {
			state.Ignored = visibleNamespaces(state.Ignored, func(namespace string) bool {
				return seen.SeesIn(gr, namespace)
			})
			list.Resources = append(list.Resources, state)
		}
	}
	for _, c := range seen.Resources {
		known := slices.IndexFunc(list.Resources, func(l v1.Resource) bool {
			return l.Group == c.Group && l.Plural == c.Plural
		})
		if known >= 0 {
			l := &list.Resources[known]
			if l.Since = c.Since; l.State == stateNotConfigured {
				l.State = stateStopped
			}
			l.Former = former(c)
			continue
		}
		list.Resources = append(list.Resources, v1.Resource{
			Group: c.Group, Version: c.Version, Plural: c.Plural, Singular: c.Singular, Kind: c.Kind,
			ShortNames: c.ShortNames, Namespaced: c.Namespaced, Former: former(c), State: stateStopped, Since: c.Since,
		})
	}
	writeJSON(w, http.StatusOK, list)
}

// former returns the former definitions of a resource in the form of the API.
func former(r history.Resource) (all []v1.Definition) {
	for _, d := range r.Former {
		all = append(all,
			v1.Definition{Kind: d.Kind, Singular: d.Singular, ShortNames: d.ShortNames, Namespaced: d.Namespaced})
	}
	return all
}

// named returns the names of resources of the API.
func named(list []v1.Resource) []history.Resource {
	resources := make([]history.Resource, len(list))
	for i, r := range list {
		resources[i] = history.Resource{
			Group: r.Group, Version: r.Version, Plural: r.Plural, Kind: r.Kind, Namespaced: r.Namespaced,
		}
	}
	return resources
}

// visibleNamespaces returns what is ignored with only the namespaces that the
// caller sees. ignored may be nil, and is not modified.
func visibleNamespaces(ignored *v1.Ignored, sees func(namespace string) bool) *v1.Ignored {
	if ignored == nil {
		return nil
	}
	seen := *ignored
	seen.Namespaces = slices.DeleteFunc(slices.Clone(ignored.Namespaces), func(namespace string) bool {
		return !sees(namespace)
	})
	return &seen
}
