package watcher

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The codes of the reasons for which a [Set] does not watch a resource that the
// API server serves.
const (
	Denied        = "excluded"       // [Targets.Denied] returned a reason
	NotConfigured = "not_configured" // the targets do not include it
	NotWatchable  = "not_watchable"  // the API server can only list it
)

// Unwatched is a resource that the API server serves and that a [Set] does not
// watch.
type Unwatched struct {
	Resource history.Resource
	Reason   string // one of the constants above
	Detail   string // for people
}

// Served returns the resources that can be listed and watched, according to the
// last discovery that the API server answered. It includes those that the set
// does not watch. It returns nil before the first answer.
func (s *Set) Served() []history.Resource {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	return slices.Clone(s.status.served)
}

// Unwatched returns the resources that the API server served at the last
// discovery and that have no state, ordered by group and plural. Resources
// whose watchers are about to be started are left out.
func (s *Set) Unwatched() []Unwatched { return s.status.unwatched() }

// unwatched implements [Set.Unwatched].
func (t *statusTracker) unwatched() (all []Unwatched) {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := map[schema.GroupResource]bool{}
	for _, s := range t.others {
		seen[identity(s.Resource.GroupResource())] = true
	}
	add := func(r history.Resource, reason, detail string) {
		id := identity(r.GroupResource())
		if t.entries[id] == nil && !seen[id] && reason != "" {
			all = append(all, Unwatched{Resource: r, Reason: reason, Detail: detail})
		}
		seen[id] = true
	}
	for _, r := range t.served {
		reason, detail := t.unwanted(r.GroupResource())
		add(r, reason, detail)
	}
	for _, r := range t.listOnly {
		add(r, NotWatchable, detailListOnly)
	}
	slices.SortFunc(all, func(x, y Unwatched) int { return compareResources(x.Resource, y.Resource) })
	return all
}

// unwanted returns why the targets do not include a resource that is served and
// has no watcher. It returns "" if they do, or if that depends on CRDs that are
// not known yet. The caller holds mu.
func (t *statusTracker) unwanted(r schema.GroupResource) (reason, detail string) {
	defined := t.defined[identity(r)]
	included := t.targets.discovers(r) || t.targets.DiscoverCRDs && defined
	unknown := t.targets.DiscoverCRDs && !t.crdsKnown && !t.crds.Refused
	denied := t.targets.denies(r, defined)
	switch {
	case included && denied != "":
		return Denied, denied
	case included, unknown:
		return "", ""
	default:
		return NotConfigured, detailUnnamed
	}
}

// scopes is an index of whether the objects of served kinds live in namespaces.
type scopes struct {
	byGroup map[schema.GroupKind]bool
	byKind  map[string]bool // without the kinds that groups disagree about
}

// scopesOf returns the index of the kinds of served resources.
func scopesOf(served []history.Resource) scopes {
	s := scopes{byGroup: map[schema.GroupKind]bool{}, byKind: map[string]bool{}}
	ambiguous := map[string]bool{}
	for _, r := range served {
		if namespaced, known := s.byKind[r.Kind]; known && namespaced != r.Namespaced {
			ambiguous[r.Kind] = true
		}
		s.byGroup[schema.GroupKind{Group: r.Group, Kind: r.Kind}] = r.Namespaced
		s.byKind[r.Kind] = r.Namespaced
	}
	for kind := range ambiguous {
		delete(s.byKind, kind)
	}
	return s
}

// Scope returns whether the objects of a served kind live in namespaces. It
// returns false for known if the kind is not served. The empty group means the
// core group. If the core group has no such kind, it means any group.
func (s *Set) Scope(group, kind string) (namespaced, known bool) {
	s.status.mu.Lock()
	defer s.status.mu.Unlock()
	namespaced, known = s.status.scopes.byGroup[schema.GroupKind{Group: group, Kind: kind}]
	if !known && group == "" {
		namespaced, known = s.status.scopes.byKind[kind]
	}
	return namespaced, known
}
