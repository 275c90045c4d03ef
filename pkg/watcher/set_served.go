package watcher

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// scopes is an index of what the API server serves: whether the objects of a
// kind live in namespaces.
type scopes struct {
	byGroup map[schema.GroupKind]bool
	byKind  map[string]bool // without the kinds that groups disagree on
}

func scopesOf(served []history.Resource) scopes {
	s := scopes{byGroup: map[schema.GroupKind]bool{}, byKind: map[string]bool{}}
	contested := map[string]bool{}
	for _, r := range served {
		if namespaced, known := s.byKind[r.Kind]; known && namespaced != r.Namespaced {
			contested[r.Kind] = true
		}
		s.byGroup[schema.GroupKind{Group: r.Group, Kind: r.Kind}] = r.Namespaced
		s.byKind[r.Kind] = r.Namespaced
	}
	for kind := range contested {
		delete(s.byKind, kind)
	}
	return s
}

// Served returns what the API server served at the last discovery that it
// answered: everything that can be listed and watched, whether the set watches
// it or not. It returns nil before the first answer.
func (s *Set) Served() []history.Resource {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	return slices.Clone(s.board.served)
}

// Scope returns whether the objects of a served kind live in namespaces. It
// returns false for known if the kind is not served. The empty group means the
// core group or, if that has no such kind, any group.
func (s *Set) Scope(group, kind string) (namespaced, known bool) {
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	namespaced, known = s.board.scopes.byGroup[schema.GroupKind{Group: group, Kind: kind}]
	if !known && group == "" {
		namespaced, known = s.board.scopes.byKind[kind]
	}
	return namespaced, known
}
