package watcher

import (
	"context"
	"fmt"
	"log/slog"
	"maps"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// search finds configured resources among those that the server serves. What was found once stays found: its watcher
// knows best whether it is still there.
type search struct {
	wanted []history.Resource
	log    *slog.Logger

	found   plans          // by identity
	by      map[int]bool   // which of wanted were found, in found or as the same objects as another
	said    map[int]string // what was last logged about one of wanted
	trouble bool           // the last discovery failed
}

func newSearch(wanted []history.Resource, log *slog.Logger) *search {
	return &search{wanted: wanted, log: log, found: plans{}, by: map[int]bool{}, said: map[int]string{}}
}

// plans returns a copy of what was found.
func (s *search) plans() plans { return maps.Clone(s.found) }

// among searches anew and returns the states of those that never were found. The error is discovery's.
func (s *search) among(ctx context.Context, served []history.Resource, err error) (missing []Change) {
	if failed := err != nil; failed != s.trouble {
		s.trouble = failed
		if failed {
			s.log.WarnContext(ctx, "API server can't be discovered", "err", err)
		}
	}
	claimed := map[schema.GroupResource]bool{}
	for i, wanted := range s.wanted {
		r, ok := resolve(served, wanted)
		switch {
		case ok && claimed[identity(r)]:
			s.by[i] = true
			if log, news := s.news(i, "same"); news {
				log.InfoContext(ctx, "configured resource holds the same objects as another, and is not watched twice")
			}
		case ok:
			claimed[identity(r)] = true
			s.take(ctx, i, r)
		case !s.by[i]:
			missing = append(missing, s.miss(ctx, i, served, err))
		}
	}
	return missing
}

func (s *search) take(ctx context.Context, i int, r history.Resource) {
	s.by[i] = true
	s.found[identity(r)] = plan{resource: r}
	if wanted := s.wanted[i].Version; wanted != "" && r.Version != wanted {
		if log, news := s.news(i, r.Version); news {
			log.InfoContext(ctx, "configured version is not served; another is watched", "served", r.Version)
		}
	}
}

func (s *search) miss(ctx context.Context, i int, served []history.Resource, err error) Change {
	c := unresolved(s.wanted[i], served, err)
	if log, news := s.news(i, c.Reason); news && c.Refused {
		log.WarnContext(ctx, "configured resource is not served, and waited for", "reason", c.Reason)
	}
	return c
}

// news tells whether something is not what was last said about one of the wanted resources, and returns its logger.
func (s *search) news(i int, what string) (*slog.Logger, bool) {
	news := s.said[i] != what
	s.said[i] = what
	return s.log.With("resource", nameOf(s.wanted[i]), "version", s.wanted[i].Version), news
}

// resolve finds a resource among those that are served: by its plural, or by its kind where it has no plural; in its
// version, or else in the first, which the server prefers.
func resolve(served []history.Resource, wanted history.Resource) (found history.Resource, ok bool) {
	for _, r := range served {
		switch {
		case r.Group != wanted.Group || wanted.Plural != "" && r.Plural != wanted.Plural:
		case wanted.Plural == "" && r.Kind != wanted.Kind:
		case r.Version == wanted.Version:
			return r, true
		case !ok:
			found, ok = r, true
		}
	}
	return found, ok
}

// identity returns the same for resources that hold the same objects: Events are served by two groups.
func identity(r history.Resource) schema.GroupResource {
	gr := r.GroupResource()
	if gr == (schema.GroupResource{Group: "events.k8s.io", Resource: "events"}) {
		gr.Group = ""
	}
	return gr
}

// unresolved is the state of a resource that was not found. A group whose own server is down is refused like one that
// does not exist; only where nothing answers, the API server is what is waited for.
func unresolved(wanted history.Resource, served []history.Resource, err error) Change {
	c := Change{Resource: wanted, State: Waiting, Refused: len(served) > 0, Cause: history.GapNotServed}
	if !c.Refused {
		c.Cause = history.GapDisconnected
	}
	groups, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	for gv, cause := range groups {
		if gv.Group == wanted.Group {
			c.Reason = fmt.Sprintf("the API server can't tell whether it serves %s: %v", nameOf(wanted), cause)
			return c
		}
	}
	if err != nil && !partly {
		c.Reason = err.Error()
		return c
	}
	c.Reason = fmt.Sprintf("the API server serves %s in no version that can be listed and watched", nameOf(wanted))
	return c
}

// nameOf names a configured resource, which may have no plural.
func nameOf(r history.Resource) string {
	gr := r.GroupResource()
	if gr.Resource == "" {
		gr.Resource = r.Kind
	}
	return gr.String()
}
