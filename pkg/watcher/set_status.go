package watcher

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Status is the state of one resource of a [Set].
type Status struct {
	Change
	Since time.Time // when the state was entered
	// Synced means that all existing objects were observed once, by this run or
	// by an earlier one whose checkpoint was resumed.
	Synced bool
	// Configured means that [Targets.Resources] has the resource.
	Configured bool
}

// Establishing reports whether the API server has asked to retry later for only
// a short time, as it does while it establishes a CRD. The time is limited,
// because it does so forever if it can't decode an object.
func (s Status) Establishing(now time.Time) bool {
	return s.Throttled && now.Sub(s.Since) < maxEstablishing
}

// observation returns the status in the terms of gaps.
func (s Status) observation() gap.Observation {
	phase := gap.Observing
	switch s.State {
	case Waiting:
		phase = gap.Waiting
	case Ignored:
		phase = gap.Excluded
	case Stopped:
		phase = gap.Absent
	case Syncing, Watching:
	}
	return gap.Observation{
		Resource: s.Resource.GroupResource(), Phase: phase, Cause: s.Cause, Since: s.Since,
		Configured: s.Configured, Refused: s.Refused, Establishing: s.Establishing(time.Now()),
	}
}

// discoveryResource is the name of discovery among the resources.
func discoveryResource() history.Resource { return history.Resource{Plural: "discovery"} }

// statusTracker has the states of a set's resources, and what the last
// discovery returned. It is safe for concurrent use.
type statusTracker struct {
	mu      sync.Mutex // guards the fields below
	targets *Targets
	entries map[schema.GroupResource]*Status // of resources that are watched
	others  []Status                         // of resources that are configured and not found, or excluded
	planned bool                             // the resources of a discovery have entries

	// The fields below are those of the last discovery that the API server
	// answered.

	served   []history.Resource // nil: it never answered
	scopes   scopes             // of served
	listOnly []history.Resource

	crdsKnown bool                          // the definitions of the CRDs were read
	defined   map[schema.GroupResource]bool // the resources that CRDs define, denied or not
	crds      Status                        // of the watch of the CRDs
	deleted   map[schema.GroupResource]bool // resources that were watched until their CRDs were deleted

	discovery Status           // of discovery itself
	failed    map[string]error // of the last discovery, by group
}

func newStatusTracker() *statusTracker {
	return &statusTracker{
		targets: &Targets{}, entries: map[schema.GroupResource]*Status{}, deleted: map[schema.GroupResource]bool{},
		discovery: Status{Change: Change{Resource: discoveryResource()}, Since: time.Now()},
	}
}

// setTargets replaces the targets.
func (t *statusTracker) setTargets(targets *Targets) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.targets = targets
	if !targets.DiscoverCRDs { // CRDs that are created again are not observed
		clear(t.deleted)
	}
}

// setDiscovered stores the outcome of a discovery, and the states of the
// configured resources that it did not find.
func (t *statusTracker) setDiscovered(outcome selection, missing []Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.served, t.listOnly = outcome.served.Watchable, outcome.served.ListOnly
	t.scopes = scopesOf(t.served)
	found := outcome.configured()
	for id, p := range found {
		t.entry(id, Change{Resource: p.resource})
	}
	for id, e := range t.entries {
		_, e.Configured = found[id]
	}
	before := t.others
	t.others = nil
	for _, c := range slices.Concat(missing, t.targets.excludedStates(t.served)) {
		s := Status{Change: c, Since: time.Now(), Configured: c.State != Ignored}
		for _, old := range before {
			if old.Resource.GroupResource() == c.Resource.GroupResource() && old.State == c.State {
				s.Since = old.Since
			}
		}
		t.others = append(t.others, s)
	}
}

// setPlans adds entries for the plans, before their watchers are started.
// defined are the plans of the CRDs. It is nil if they are not known.
func (t *statusTracker) setPlans(wanted, defined plans) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.planned = t.planned || len(t.served) > 0
	t.crdsKnown, t.defined = defined != nil, map[schema.GroupResource]bool{}
	for id := range defined {
		t.defined[id] = true
	}
	for id, p := range wanted {
		t.entry(id, Change{Resource: p.resource})
	}
}

// setCRDs stores a change of state of the watch of the CRDs.
func (t *statusTracker) setCRDs(c Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.State != t.crds.State || t.crds.Since.IsZero() {
		t.crds.Since = time.Now()
	}
	t.crds.Change, t.crds.Configured = c, true
}

// set stores a change of state of a watcher. A stopped watcher loses its entry.
// A cause without a reason means that its CRD was deleted.
func (t *statusTracker) set(c Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := identity(c.Resource.GroupResource())
	if c.State == Stopped {
		delete(t.entries, id)
		t.deleted[id] = c.None()
		return
	}
	e := t.entry(id, c)
	if e.State != c.State {
		e.Since = time.Now()
	}
	e.Change = c
	e.Synced = e.Synced || c.State == Watching
}

// setDiscovery stores the error of the last discovery: nil, or that of some or
// of all groups.
func (t *statusTracker) setDiscovery(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = map[string]error{}
	groups, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	for gv, failure := range groups {
		t.failed[gv.Group] = failure
	}
	c := Change{State: Watching}
	if err != nil && !partial {
		c = waiting(history.Resource{}, err)
	}
	c.Resource = discoveryResource()
	if c.State != t.discovery.State || t.discovery.Since.IsZero() {
		t.discovery.Since = time.Now()
	}
	t.discovery.Change = c
}

// entry returns the entry of a resource. If there is none, it adds one with
// this state. The caller holds mu.
func (t *statusTracker) entry(id schema.GroupResource, first Change) *Status {
	if t.entries[id] == nil {
		t.entries[id] = &Status{Change: first, Since: time.Now()}
		delete(t.deleted, id)
	}
	return t.entries[id]
}

// watched returns the resources that have a watcher.
func (t *statusTracker) watched() (all []history.Resource) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		all = append(all, e.Resource)
	}
	return all
}

// crdsRefused reports whether the API server refuses the watch of the CRDs.
func (t *statusTracker) crdsRefused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.crds.Refused
}

// anyRefused reports whether the API server refuses a resource that it may
// serve in another version. A forbidden resource is forbidden in all versions.
func (t *statusTracker) anyRefused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.entries {
		if e.Refused && e.Reason != history.GapForbidden {
			return true
		}
	}
	return false
}

// isRefused reports whether the API server refuses this resource.
func (t *statusTracker) isRefused(id schema.GroupResource) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[id]
	return e != nil && e.Refused
}

// forbidden returns the names of the discovered resources that are forbidden
// and not configured, sorted. It reports whether they are settled: the API
// server has answered about all discovered resources, or has had enough time.
func (t *statusTracker) forbidden(now time.Time) (all []string, settled bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	settled = true
	for _, e := range t.entries {
		age, undecided := now.Sub(e.Since), e.State == Syncing || e.State == Waiting && e.None()
		switch {
		case e.Configured:
		case e.Reason == history.GapForbidden:
			all = append(all, e.Resource.GroupResource().String())
			settled = settled && age >= logInterval
		case undecided:
			settled = settled && age >= maxUndecided
		}
	}
	slices.Sort(all)
	return all, settled
}

// states returns the states of all resources, ordered by group and plural.
func (t *statusTracker) states() []Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Clone(t.others)
	for _, e := range t.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(x, y Status) int { return compareResources(x.Resource, y.Resource) })
	return all
}

// compareResources orders resources by group and plural.
func compareResources(x, y history.Resource) int {
	return cmp.Or(cmp.Compare(x.Group, y.Group), cmp.Compare(x.Plural, y.Plural))
}

// dependencies returns the states of discovery and of the watch of the CRDs.
// The latter is left out if the targets don't include CRDs, or if the CRDs are
// recorded and have a state of their own.
func (t *statusTracker) dependencies() (all []Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all = append(all, t.discovery)
	_, recorded := t.entries[crdResource().GroupResource()]
	if t.targets.DiscoverCRDs && t.crds.Resource.Plural != "" && !recorded {
		all = append(all, t.crds)
	}
	return all
}

// troubles returns the states of discovery and of the watch of the CRDs that
// are not in sync. They are in sync once the resources that they found have
// entries.
func (t *statusTracker) troubles() (all []Status) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.discovery; d.State != Watching || !t.planned {
		if d.State == Watching {
			d.State = Waiting
		}
		all = append(all, d)
	}
	id := crdResource().GroupResource()
	if e := t.entries[id]; t.targets.DiscoverCRDs && !t.crdsKnown && (e == nil || e.State == Watching) {
		d := t.crds
		d.Resource, d.Configured = crdResource(), true
		if d.State == Watching {
			d.State = Waiting
		}
		all = append(all, d)
	}
	return all
}

// absence implements [Set.Absence]. A resource without a state is either not
// served, or served and not a target. That is unknown until discovery and the
// CRDs were read.
func (t *statusTracker) absence(r schema.GroupResource) gap.Cause {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := identity(r)
	hasState := slices.ContainsFunc(t.others, func(s Status) bool { return s.Resource.GroupResource() == r })
	switch {
	case t.entries[id] != nil || hasState:
		return gap.Cause{}
	case len(t.served) == 0 && !t.discovery.None():
		return t.discovery.Cause
	case len(t.served) == 0:
		return restarted("the recorder was restarted and has not discovered the resources yet")
	case t.targets.DiscoverCRDs && !t.crdsKnown && !t.crds.None():
		return gap.Cause{Reason: t.crds.Reason, Detail: "the CRDs can't be watched: " + t.crds.Detail}
	case t.targets.DiscoverCRDs && !t.crdsKnown:
		return restarted("the recorder was restarted and has not read the CRDs yet")
	case t.failed[r.Group] != nil && !serves(t.served, id):
		return undiscovered(r.String(), t.failed[r.Group])
	case t.deleted[id] || !serves(t.served, id):
		return gap.Cause{}
	}
	if _, detail := t.unwanted(r); detail != "" {
		return gap.Cause{Reason: history.GapNotConfigured, Detail: detail}
	}
	return restarted("its watch is about to be opened")
}

// restarted returns the cause of a resource whose watch has not begun yet.
func restarted(detail string) gap.Cause {
	return gap.Cause{Reason: history.GapRestarted, Detail: detail}
}

// serves reports whether a resource with this identity is served.
func serves(served []history.Resource, id schema.GroupResource) bool {
	return slices.ContainsFunc(served, func(r history.Resource) bool { return identity(r.GroupResource()) == id })
}
