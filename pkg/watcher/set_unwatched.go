package watcher

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Why a [Set] does not watch a resource that the API server serves, for
// programs.
const (
	Denied        = "excluded"       // [Targets.Denied] says so
	NotConfigured = "not_configured" // the targets do not include it
	NotWatchable  = "not_watchable"  // the API server can only list it
)

// Unwatched is a resource that the API server serves and that a [Set] does not
// watch.
type Unwatched struct {
	Resource history.Resource
	Why      string // one of the constants above
	Reason   string // the same for people
}

// Unwatched returns what the API server served at the last discovery and nothing
// watches, ordered by group and plural. Resources that have a state are not in
// it, nor are those that a watcher is about to be started for.
func (s *Set) Unwatched() []Unwatched { return s.board.unwatched() }

func (b *board) unwatched() (all []Unwatched) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := map[schema.GroupResource]bool{}
	for _, s := range b.others {
		seen[identity(s.Resource.GroupResource())] = true
	}
	add := func(r history.Resource, why, reason string) {
		id := identity(r.GroupResource())
		if b.entries[id] == nil && !seen[id] && why != "" {
			all = append(all, Unwatched{Resource: r, Why: why, Reason: reason})
		}
		seen[id] = true
	}
	for _, r := range b.served {
		why, reason := b.unwanted(r.GroupResource())
		add(r, why, reason)
	}
	for _, r := range b.listOnly {
		add(r, NotWatchable, reasonListOnly)
	}
	slices.SortFunc(all, func(x, y Unwatched) int {
		return cmp.Or(cmp.Compare(x.Resource.Group, y.Resource.Group), cmp.Compare(x.Resource.Plural, y.Resource.Plural))
	})
	return all
}

// unwanted returns why the targets do not include a resource that is served and
// has no watcher. The caller holds mu.
func (b *board) unwanted(r schema.GroupResource) (why, reason string) {
	crd := b.crds[identity(r)]
	included := b.targets.DiscoverAll || b.targets.DiscoverCRDs && crd
	unknown := b.targets.DiscoverCRDs && !b.defined && !b.definitions.Refused
	denied := b.targets.denies(r, crd)
	switch {
	case included && denied != "":
		return Denied, denied
	case included, unknown:
		return "", ""
	default:
		return NotConfigured, reasonUnnamed
	}
}
