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

	found plans                           // by identity
	as    map[string]schema.GroupResource // the identities of those of wanted that were found, by nameOf
	said  map[string]string               // what was last logged about one of wanted, by nameOf
}

func newSearch(log *slog.Logger) *search {
	return &search{log: log, found: plans{}, as: map[string]schema.GroupResource{}, said: map[string]string{}}
}

// aim replaces what is wanted. What was found and is still wanted stays found, and what is watched already is found.
func (s *search) aim(wanted, watched []history.Resource) {
	s.wanted = wanted
	names, kept := map[string]bool{}, map[schema.GroupResource]bool{}
	for _, r := range wanted {
		names[nameOf(r)] = true
	}
	maps.DeleteFunc(s.said, func(name, _ string) bool { return !names[name] })
	maps.DeleteFunc(s.as, func(name string, _ schema.GroupResource) bool { return !names[name] })
	for _, id := range s.as {
		kept[id] = true
	}
	maps.DeleteFunc(s.found, func(id schema.GroupResource, _ plan) bool { return !kept[id] })
	for _, r := range wanted {
		known, ok := resolve(watched, r)
		if id := identity(known.GroupResource()); ok && !kept[id] {
			s.as[nameOf(r)], s.found[id] = id, plan{resource: known}
		}
	}
}

// plans returns a copy of what was found.
func (s *search) plans() plans { return maps.Clone(s.found) }

// among searches anew and returns the states of those that never were found. The error is discovery's.
func (s *search) among(ctx context.Context, served []history.Resource, err error) (missing []Change) {
	claimed := map[schema.GroupResource]bool{}
	for _, wanted := range s.wanted {
		r, ok := resolve(served, wanted)
		id := identity(r.GroupResource())
		_, before := s.as[nameOf(wanted)]
		switch {
		case ok && claimed[id]:
			s.as[nameOf(wanted)] = id
			if log, news := s.news(wanted, "same"); news {
				log.InfoContext(ctx, "configured resource holds the same objects as another, and is not watched twice")
			}
		case ok:
			claimed[id] = true
			s.take(ctx, wanted, r)
		case !before:
			missing = append(missing, s.miss(ctx, wanted, served, err))
		}
	}
	return missing
}

func (s *search) take(ctx context.Context, wanted, r history.Resource) {
	id := identity(r.GroupResource())
	s.as[nameOf(wanted)], s.found[id] = id, plan{resource: r}
	if wanted.Version != "" && r.Version != wanted.Version {
		if log, news := s.news(wanted, r.Version); news {
			log.InfoContext(ctx, "configured version is not served; another is watched", "served", r.Version)
		}
	}
}

func (s *search) miss(ctx context.Context, wanted history.Resource, served []history.Resource, err error) Change {
	c := unresolved(wanted, served, err)
	if log, news := s.news(wanted, c.Reason); news && c.Refused {
		log.WarnContext(ctx, "configured resource is not served, and waited for", "reason", c.Reason)
	}
	return c
}

// news tells whether something is not what was last said about one of the wanted resources, and returns its logger.
func (s *search) news(wanted history.Resource, what string) (*slog.Logger, bool) {
	name := nameOf(wanted)
	news := s.said[name] != what
	s.said[name] = what
	return s.log.With("resource", name, "version", wanted.Version), news
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
func identity(gr schema.GroupResource) schema.GroupResource {
	if gr == (schema.GroupResource{Group: "events.k8s.io", Resource: "events"}) {
		gr.Group = ""
	}
	return gr
}

// unresolved is the state of a resource that was not found. A group whose own server is down is refused like one that
// does not exist; only where nothing answers, the API server is what is waited for.
func unresolved(wanted history.Resource, served []history.Resource, err error) Change {
	groups, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partly {
		c := waiting(wanted, err)
		c.Resource, c.Refused = wanted, len(served) > 0
		return c
	}
	c := Change{Resource: wanted, State: Waiting, Refused: true, Cause: history.GapNotServed}
	for gv, cause := range groups {
		if gv.Group == wanted.Group {
			c.Reason, c.Cause = untold(nameOf(wanted), cause), history.GapServerError
			return c
		}
	}
	c.Reason = fmt.Sprintf("the API server serves %s in no version that can be listed and watched", nameOf(wanted))
	return c
}

// untold says that it is not known whether a resource is served.
func untold(name string, cause error) string {
	return fmt.Sprintf("the API server can't tell whether it serves %s: %v", name, cause)
}

// nameOf names a configured resource, which may have no plural.
func nameOf(r history.Resource) string {
	gr := r.GroupResource()
	if gr.Resource == "" {
		gr.Resource = r.Kind
	}
	return gr.String()
}
