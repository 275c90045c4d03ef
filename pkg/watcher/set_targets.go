package watcher

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// Why a resource is not watched, for people.
const (
	reasonExcluded = "the configuration leaves it out"
	reasonUnnamed  = "the configuration does not name it"
	reasonGone     = "its definition is gone"
	reasonListOnly = "the API server can list it, but not watch it"
)

// Targets are what a [Set] watches.
type Targets struct {
	// Resources are the configured ones, each once: by group and plural, or by group and kind. The version is a preference.
	Resources []history.Resource
	// DiscoverCRDs watches the resources of all CRDs too, also of those that appear later.
	DiscoverCRDs bool
	// DiscoverAll watches every other resource too that the API server can list
	// and watch, also those that appear later.
	DiscoverAll bool
	// Denied returns why a resource that is only discovered is not watched; ""
	// if it is. defined reports whether a CRD defines it. Nil denies nothing.
	Denied func(r schema.GroupResource, defined bool) string
	// Excluded are not watched, though they are configured or a CRD defines them.
	Excluded []schema.GroupResource
}

// excludes tells whether a resource with this identity is not to be watched.
func (t *Targets) excludes(id schema.GroupResource) bool {
	return slices.ContainsFunc(t.Excluded, func(r schema.GroupResource) bool { return identity(r) == id })
}

func (t *Targets) denies(r schema.GroupResource, defined bool) string {
	if t.Denied == nil {
		return ""
	}
	return t.Denied(r, defined)
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
	plans   plans // of the configured resources
	served  apiserver.Served
	began   time.Time // when the discovery began that found served
}

// configured returns the plans of the configured resources that are not
// excluded.
func (c choice) configured() plans {
	all := plans{}
	for id, p := range c.plans {
		if !c.targets.excludes(id) {
			p.named = true
			all[id] = p
		}
	}
	return all
}

// wanted returns the plans of the configured resources, of those that CRDs
// define and, if others are true, of all others that discovery found, without
// what is excluded or denied. A configured resource keeps its version, and takes
// the life of its definition.
func (c choice) wanted(defined definedPlans, others bool) plans {
	all := c.configured()
	for id, d := range defined.now {
		p, configured := all[id]
		switch {
		case configured:
			d.resource, d.named = p.resource, true
		case c.targets.excludes(id) || c.targets.denies(id, true) != "":
			continue
		}
		all[id] = d
	}
	if !c.targets.DiscoverAll || !others {
		return all
	}
	for _, r := range c.served.Watchable {
		gr := r.GroupResource()
		id := identity(gr)
		if _, planned := all[id]; planned || defined.decide(id, c.began) || c.targets.excludes(id) || c.targets.denies(gr, false) != "" {
			continue
		}
		all[id] = plan{resource: r}
	}
	return all
}

// dropped tells why the configuration does not want a unit any more that is in no plan; "" where its definition is gone.
func (c choice) dropped(id schema.GroupResource, u *unit) string {
	denied := c.targets.denies(u.resource.GroupResource(), u.life != "")
	switch {
	case c.targets.excludes(id):
		return reasonExcluded
	case denied != "":
		return denied
	case c.targets.DiscoverAll, u.life != "" && c.targets.DiscoverCRDs:
		return ""
	default:
		return reasonUnnamed
	}
}
