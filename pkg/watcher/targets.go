package watcher

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Why a resource is not watched, for people.
const (
	reasonExcluded = "the configuration leaves it out"
	reasonUnnamed  = "the configuration does not name it"
	reasonGone     = "its definition is gone"
)

// Targets are what a [Set] watches.
type Targets struct {
	// Resources are the configured ones, each once: by group and plural, or by group and kind. The version is a preference.
	Resources []history.Resource
	// DiscoverCRDs watches the resources of all CRDs too, also of those that appear later.
	DiscoverCRDs bool
	// Excluded are not watched, though they are configured or a CRD defines them.
	Excluded []schema.GroupResource
}

// excludes tells whether a resource with this identity is not to be watched.
func (t *Targets) excludes(id schema.GroupResource) bool {
	return slices.ContainsFunc(t.Excluded, func(r schema.GroupResource) bool { return identity(r) == id })
}

// left returns the states of the excluded resources, with the names that the server has for them. Changes of one that the
// server does not serve can't be missed.
func (t *Targets) left(served []history.Resource) []Change {
	var all []Change
	for _, excluded := range t.Excluded {
		c := Change{
			Resource: history.Resource{Group: excluded.Group, Plural: excluded.Resource},
			State:    Ignored, Reason: reasonExcluded, Cause: history.GapNotConfigured,
		}
		if r, ok := resolve(served, c.Resource); ok {
			c.Resource = r
		} else if len(served) > 0 {
			c.Cause = ""
		}
		all = append(all, c)
	}
	return all
}

// choice is which resources discovery found for which targets.
type choice struct {
	targets *Targets
	plans   plans
}

// wanted returns the plans of both the choice and, where they are discovered, the CRDs, without what is excluded. A
// configured resource keeps its version, and takes the life of its definition.
func (c choice) wanted(defined plans) plans {
	all := plans{}
	for id, p := range c.plans {
		if !c.targets.excludes(id) {
			all[id] = p
		}
	}
	for id, d := range defined {
		if c.targets.excludes(id) {
			continue
		}
		if p, ok := all[id]; ok {
			d.resource = p.resource
		}
		all[id] = d
	}
	return all
}

// dropped tells why the configuration does not want a unit any more that is in no plan; "" where its definition is gone.
func (c choice) dropped(id schema.GroupResource, u *unit) string {
	switch {
	case c.targets.excludes(id):
		return reasonExcluded
	case u.life == "" || !c.targets.DiscoverCRDs:
		return reasonUnnamed
	default:
		return ""
	}
}
