package watcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// rediscoveryPeriod is the longest time between two discoveries. The API server
// may begin to serve a resource without any other sign.
const rediscoveryPeriod = 10 * time.Minute

// discoveryTimeout bounds one discovery.
const discoveryTimeout = time.Minute

// discover runs discovery until ctx is done, and sends each outcome to
// supervise. It runs again soon while a configured resource is missing, and
// after a change that discovery may see.
func (s *Set) discover(ctx context.Context) {
	retry := newBackoff(s.opts.RetryAfter)
	search := newSearch(s.log)
	current := selection{targets: &Targets{}}
	for ctx.Err() == nil {
		if targets := s.targets.Load(); targets != current.targets {
			current.targets = targets
			search.setTargets(targets.Resources, s.status.watched())
			current.plans = search.plans()
			s.status.setTargets(targets)
			// Sent before the discovery, so that excluded resources do not wait
			// for the API server's answer.
			if !send(ctx, s.selected, current) {
				break
			}
		}
		began := time.Now()
		served, found, err := s.discoverServed(ctx)
		if err != nil && ctx.Err() != nil {
			break
		}
		missing := search.resolveAll(ctx, served.Watchable, err)
		served.Keep(current.served, err)
		current.plans, current.served, current.began = search.plans(), served, began
		s.status.setDiscovered(current, missing)
		if !send(ctx, s.selected, current) {
			break
		}
		s.offer(discoveryOutcome{Discovery: found, began: began, err: err})
		wait := rediscoveryPeriod
		if err != nil || len(missing) > 0 || s.status.anyRefused() {
			wait = retry.next(err)
		}
		if s.waitForChange(ctx, wait) {
			retry.reset()
			sleep(ctx, retry.shortest) // one discovery for changes that come together
		}
	}
}

// reportForbidden logs, in one line, the discovered resources that are not
// permitted, whenever they have changed. A configured resource has a line of
// its own. It reports whether it has to be called again even if no state
// changes, because the API server has not answered about all resources yet.
func (s *Set) reportForbidden(ctx context.Context, now time.Time) (again bool) {
	forbidden, settled := s.status.forbidden(now)
	if slices.Equal(forbidden, s.forbidden) {
		return false
	}
	if !settled {
		return true
	}
	s.forbidden = forbidden
	if len(forbidden) > 0 {
		s.log.WarnContext(ctx, "discovered resources not permitted, not recording them",
			"count", len(forbidden), "resources", strings.Join(forbidden, ","))
	}
	return false
}

// discoverServed returns what the API server serves. If it could discover only
// some groups, it returns these together with an error.
func (s *Set) discoverServed(ctx context.Context) (apiserver.Served, apiserver.Discovery, error) {
	bounded, cancel := context.WithTimeout(ctx, discoveryTimeout)
	defer cancel()
	served, found, err := s.server.Resources(bounded)
	switch {
	case ctx.Err() != nil:
		return served, found, err
	case len(served.Watchable) > 0:
		s.outages.end(unreachableOutage)
	case errors.Is(err, context.DeadlineExceeded):
		err = errNoAnswer
	}
	s.status.setDiscovery(err)
	signal(s.changes)
	return served, found, err
}

// waitForChange waits until discovery is to run again, at most for wait. It
// reports whether something changed.
func (s *Set) waitForChange(ctx context.Context, wait time.Duration) bool {
	reached, leave := s.outages.join(unreachableOutage)
	defer leave()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return false
	case <-s.rediscover:
	case <-reached:
	}
	return true
}

// search resolves the configured resources to those that the API server serves.
// A resource that was found once stays found, because its watcher observes
// whether it still exists. It must be used by one goroutine.
type search struct {
	configured []history.Resource
	log        *slog.Logger

	found      plans                           // by identity
	identities map[string]schema.GroupResource // of the configured resources that were found, by nameOf
	logged     map[string]string               // the last message about a configured resource, by nameOf
}

func newSearch(log *slog.Logger) *search {
	return &search{log: log, found: plans{}, identities: map[string]schema.GroupResource{}, logged: map[string]string{}}
}

// setTargets replaces the configured resources. Resources that were found and
// are still configured stay found. Resources that are watched are found at
// once.
func (s *search) setTargets(configured, watched []history.Resource) {
	s.configured = configured
	names, kept := map[string]bool{}, map[schema.GroupResource]bool{}
	for _, r := range configured {
		names[nameOf(r)] = true
	}
	maps.DeleteFunc(s.logged, func(name, _ string) bool { return !names[name] })
	maps.DeleteFunc(s.identities, func(name string, _ schema.GroupResource) bool { return !names[name] })
	for _, id := range s.identities {
		kept[id] = true
	}
	maps.DeleteFunc(s.found, func(id schema.GroupResource, _ plan) bool { return !kept[id] })
	for _, r := range configured {
		known, ok := resolve(watched, r)
		if id := identity(known.GroupResource()); ok && !kept[id] {
			s.identities[nameOf(r)], s.found[id] = id, plan{resource: known}
		}
	}
}

// plans returns a copy of the plans of all resources that were found.
func (s *search) plans() plans { return maps.Clone(s.found) }

// resolveAll looks for the configured resources among those that are served. It
// returns the states of those that were never found. err is the error of the
// discovery. If two configured resources have the same objects, the first one
// is watched.
func (s *search) resolveAll(ctx context.Context, served []history.Resource, err error) (missing []Change) {
	claimed := map[schema.GroupResource]bool{}
	for _, configured := range s.configured {
		r, ok := resolve(served, configured)
		id := identity(r.GroupResource())
		_, before := s.identities[nameOf(configured)]
		switch {
		case ok && claimed[id]:
			s.identities[nameOf(configured)] = id
			if log, first := s.logOnce(configured, "same"); first { // "same" only differs from other messages
				log.InfoContext(ctx, "configured resource has the same objects as another, not watched twice")
			}
		case ok:
			claimed[id] = true
			s.add(ctx, configured, r)
		case !before:
			missing = append(missing, s.missing(ctx, configured, served, err))
		}
	}
	return missing
}

// add adds the served resource that was found for a configured one.
func (s *search) add(ctx context.Context, configured, r history.Resource) {
	id := identity(r.GroupResource())
	s.identities[nameOf(configured)], s.found[id] = id, plan{resource: r}
	if configured.Version != "" && r.Version != configured.Version {
		if log, first := s.logOnce(configured, r.Version); first {
			log.InfoContext(ctx, "configured version not served, watching another", "served", r.Version)
		}
	}
}

// missing returns the state of a configured resource that was not found.
func (s *search) missing(
	ctx context.Context, configured history.Resource, served []history.Resource, err error,
) Change {
	c := unresolved(configured, served, err)
	if log, first := s.logOnce(configured, c.Detail); first && c.Refused {
		log.WarnContext(ctx, "configured resource not served, waiting for it", "reason", c.Reason, "detail", c.Detail)
	}
	return c
}

// logOnce returns the logger of a configured resource, and reports whether the
// message differs from the last one about it.
func (s *search) logOnce(configured history.Resource, message string) (log *slog.Logger, first bool) {
	name := nameOf(configured)
	first = s.logged[name] != message
	s.logged[name] = message
	return s.log.With("resource", name, "version", configured.Version), first
}

// resolve finds a resource among those that are served: by its plural, or by
// its kind if it has no plural. It prefers the configured version, and
// otherwise the first one, which the API server prefers.
func resolve(served []history.Resource, configured history.Resource) (found history.Resource, ok bool) {
	for _, r := range served {
		switch {
		case r.Group != configured.Group || configured.Plural != "" && r.Plural != configured.Plural:
		case configured.Plural == "" && r.Kind != configured.Kind:
		case r.Version == configured.Version:
			return r, true
		case !ok:
			found, ok = r, true
		}
	}
	return found, ok
}

// identity returns the same value for resources with the same objects: Events
// are served in two groups.
func identity(gr schema.GroupResource) schema.GroupResource {
	if gr == (schema.GroupResource{Group: "events.k8s.io", Resource: "events"}) {
		gr.Group = ""
	}
	return gr
}

// unresolved returns the state of a configured resource that was not found. It
// is refused, unless the API server gave no answer at all. If the aggregated
// API server of its group is down, it is refused too.
func unresolved(configured history.Resource, served []history.Resource, err error) Change {
	groups, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		c := waiting(configured, err)
		c.Resource, c.Refused = configured, len(served) > 0
		return c
	}
	c := Change{Resource: configured, State: Waiting, Refused: true}
	for gv, failure := range groups {
		if gv.Group == configured.Group {
			c.Cause = undiscovered(nameOf(configured), failure)
			return c
		}
	}
	c.Cause = gap.Cause{
		Reason: history.GapNotServed,
		Detail: fmt.Sprintf("the API server serves no version of %s that it can watch", nameOf(configured)),
	}
	return c
}

// undiscovered returns the cause of a resource whose group can't be discovered.
func undiscovered(name string, err error) gap.Cause {
	return gap.Cause{
		Reason: history.GapServerError,
		Detail: fmt.Sprintf("the API server can't say whether it serves %s: %v", name, err),
	}
}

// nameOf returns the name of a configured resource. It has the kind if there is
// no plural.
func nameOf(r history.Resource) string {
	gr := r.GroupResource()
	if gr.Resource == "" {
		gr.Resource = r.Kind
	}
	return gr.String()
}
