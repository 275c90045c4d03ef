package watcher

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// The texts of the reasons for which a resource is not watched.
const (
	detailIgnored  = "the configuration ignores it"
	detailUnnamed  = "the configuration does not name it"
	detailNoCRD    = "its CRD is deleted"
	detailListOnly = "the API server can list it, but not watch it"
)

// Targets are the resources that a [Set] watches.
type Targets struct {
	// Resources are the configured resources, by group and plural, or by group
	// and kind. Each is named once. The version is a preference.
	Resources []history.Resource
	// DiscoverCRDs includes the resources of all CRDs, also of future ones.
	DiscoverCRDs bool
	// DiscoverAll includes all other resources that the API server can list and
	// watch, also future ones.
	DiscoverAll bool
	// Discovered are included if the API server serves them, also without
	// DiscoverAll.
	Discovered []schema.GroupResource
	// Denied returns why a resource that is only discovered is not watched, or
	// "" if it is. defined reports whether a CRD defines it. A nil func denies
	// nothing.
	Denied func(r schema.GroupResource, defined bool) string
	// Excluded are ignored, even if they are configured or discovered.
	Excluded []schema.GroupResource
	// Documents includes the documents of the API server.
	Documents bool
}

// excludes reports whether a resource with this identity is excluded.
func (t *Targets) excludes(id schema.GroupResource) bool {
	return slices.ContainsFunc(t.Excluded, func(r schema.GroupResource) bool { return identity(r) == id })
}

// discovers reports whether a resource is included because it is served,
// whether or not a CRD defines it.
func (t *Targets) discovers(r schema.GroupResource) bool {
	return t.DiscoverAll || slices.Contains(t.Discovered, r)
}

// denies returns why a discovered resource is not watched, or "" if it is.
func (t *Targets) denies(r schema.GroupResource, defined bool) string {
	if t.Denied == nil {
		return ""
	}
	return t.Denied(r, defined)
}

// excludedStates returns the states of the excluded resources, with the names
// of the API server. If the server does not serve a resource, nothing of it is
// missed, so its state has no reason.
func (t *Targets) excludedStates(served []history.Resource) []Change {
	var all []Change
	for _, excluded := range t.Excluded {
		c := Change{
			Resource: history.Resource{Group: excluded.Group, Plural: excluded.Resource},
			State:    Ignored,
			Cause:    gap.Cause{Reason: history.GapNotConfigured, Detail: detailIgnored},
		}
		if r, ok := resolve(served, c.Resource); ok {
			c.Resource = r
		} else if len(served) > 0 {
			c.Reason = ""
		}
		all = append(all, c)
	}
	return all
}

// plan is a resource to watch.
type plan struct {
	resource history.Resource
	// crdUID is the UID of the CRD that defines the resource, or "" if it is
	// not known. If a CRD is deleted and created again, its resource is another
	// one.
	crdUID types.UID
	named  bool // the configuration names the resource
}

// plans has one plan for each resource, by identity.
type plans map[schema.GroupResource]plan

// selection is the result of discovery for some targets.
type selection struct {
	targets *Targets
	plans   plans // of the configured resources that were found
	served  apiserver.Served
	began   time.Time // when the discovery began that returned served
}

// configured returns the plans of the configured resources that are not
// excluded.
func (s selection) configured() plans {
	all := plans{}
	for id, p := range s.plans {
		if !s.targets.excludes(id) {
			p.named = true
			all[id] = p
		}
	}
	return all
}

// wanted returns the plans of all resources that the targets include: those
// that are configured, and those that CRDs define. If discovered is true, it
// includes all others that the targets discover. A configured resource keeps
// its version if a CRD defines it too.
func (s selection) wanted(defined definedPlans, discovered bool) plans {
	all := s.configured()
	for id, d := range defined.current {
		p, configured := all[id]
		switch {
		case configured:
			d.resource, d.named = p.resource, true
		case s.targets.excludes(id) || s.targets.denies(id, true) != "":
			continue
		}
		all[id] = d
	}
	if !discovered {
		return all
	}
	for _, r := range s.served.Watchable {
		gr := r.GroupResource()
		id := identity(gr)
		_, planned := all[id]
		unwanted := !s.targets.discovers(gr) || s.targets.excludes(id) || s.targets.denies(gr, false) != ""
		if planned || unwanted || defined.decide(id, s.began) {
			continue
		}
		all[id] = plan{resource: r}
	}
	return all
}

// dropped returns why the configuration does not include a running watcher that
// has no plan any more. It returns "" if the API server stopped serving the
// resource instead.
func (s selection) dropped(id schema.GroupResource, w *runningWatcher) string {
	denied := s.targets.denies(w.resource.GroupResource(), w.crdUID != "")
	switch {
	case s.targets.excludes(id):
		return detailIgnored
	case denied != "":
		return denied
	case s.targets.discovers(w.resource.GroupResource()), w.crdUID != "" && s.targets.DiscoverCRDs:
		return ""
	default:
		return detailUnnamed
	}
}
