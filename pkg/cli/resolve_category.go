package cli

import (
	"slices"
	"strings"

	"k8s.io/client-go/discovery"
)

// category returns the types of a category, such as those of "all". It is empty
// if the API server has no category of that name, or does not answer.
func (r *resolver) category(name string) []resourceType {
	if r.discovery == nil || r.unreachable != nil || strings.Contains(name, ".") {
		return nil
	}
	defer r.env.mayPrompt()()
	d, err := r.discovery()
	if err != nil {
		return nil
	}
	_, lists, err := d.ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		r.unreachable = err // so that it is not tried again for each type
		return nil
	}
	var found []resourceType
	for _, list := range lists {
		for i := range list.APIResources {
			served := &list.APIResources[i]
			group, _, grouped := strings.Cut(list.GroupVersion, "/")
			if !grouped {
				group = ""
			}
			t := resourceType{Group: group, Plural: served.Name, Namespaced: served.Namespaced}
			if slices.Contains(served.Categories, name) && !strings.Contains(served.Name, "/") && !slices.Contains(found, t) {
				found = append(found, t)
			}
		}
	}
	return found
}

// discoveryClient is how a resolver asks the API server what it serves.
type discoveryClient func() (discovery.CachedDiscoveryInterface, error)
