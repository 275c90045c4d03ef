package watcher

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Status is the state of one resource of a [Set].
type Status struct {
	Change
	Since time.Time // when the state was entered
	// Synced says that everything that exists was observed once, now or by an earlier run whose checkpoint was resumed.
	Synced bool
	// Configured says that the resource is one of [Targets.Resources], and not only a CRD's.
	Configured bool
}

// Establishing reports whether the server asks to come later, and has not done
// so for long: while it establishes a CRD, it does. It also does if an object
// can't be decoded, for ever.
func (s Status) Establishing(now time.Time) bool {
	return s.Throttled && now.Sub(s.Since) < throttledWithin
}

// discoveryResource stands for what is to be discovered.
func discoveryResource() history.Resource { return history.Resource{Plural: "discovery"} }

// board holds the states of a set's resources, and what is known of those that have none.
type board struct {
	mu      sync.Mutex
	targets *Targets
	entries map[schema.GroupResource]*Status // of what is watched
	others  []Status                         // configured and not found, or excluded

	served      []history.Resource            // when the API server answered last; empty: it never did
	scopes      scopes                        // of served
	listOnly    []history.Resource            // likewise
	defined     bool                          // the CRDs are known
	crds        map[schema.GroupResource]bool // what they define, denied or not
	definitions Change                        // the state of their watch
	definedAt   time.Time                     // when it was entered
	gone        map[schema.GroupResource]bool // definitions that went while their resources were watched

	discovery Status           // why the API server can't be discovered; the zero Change: it can
	planned   bool             // what was discovered has an entry
	failed    map[string]error // of groups, why the last discovery did not tell what they serve
}

func newBoard() *board {
	return &board{
		targets: &Targets{}, entries: map[schema.GroupResource]*Status{}, gone: map[schema.GroupResource]bool{},
		discovery: Status{Change: Change{Resource: discoveryResource()}, Since: time.Now()},
	}
}

// aim takes what is to be watched from now on.
func (b *board) aim(targets *Targets) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.targets = targets
	if !targets.DiscoverCRDs { // nobody sees definitions come back
		clear(b.gone)
	}
}

// discover takes the outcome of a discovery: what of the configured resources is to be watched, and what was not found.
func (b *board) discover(outcome choice, missing []Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.served, b.listOnly = outcome.served.Watchable, outcome.served.ListOnly
	b.scopes = scopesOf(b.served)
	found := outcome.configured()
	for id, p := range found {
		b.entry(id, Change{Resource: p.resource})
	}
	for id, e := range b.entries {
		_, e.Configured = found[id]
	}
	before := b.others
	b.others = nil
	for _, c := range slices.Concat(missing, b.targets.left(b.served)) {
		s := Status{Change: c, Since: time.Now(), Configured: c.State != Ignored}
		for _, old := range before {
			if old.Resource.GroupResource() == c.Resource.GroupResource() && old.State == c.State {
				s.Since = old.Since
			}
		}
		b.others = append(b.others, s)
	}
}

// plan takes what is to be watched, before it is, and what the CRDs define; nil where that is not known.
func (b *board) plan(wanted, defined plans) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.planned = b.planned || len(b.served) > 0
	b.defined, b.crds = defined != nil, map[schema.GroupResource]bool{}
	for id := range defined {
		b.crds[id] = true
	}
	for id, p := range wanted {
		b.entry(id, Change{Resource: p.resource})
	}
}

// watched returns the resources that have a watcher.
func (b *board) watched() (all []history.Resource) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		all = append(all, e.Resource)
	}
	return all
}

func (b *board) entry(id schema.GroupResource, first Change) *Status {
	if b.entries[id] == nil {
		b.entries[id] = &Status{Change: first, Since: time.Now()}
		delete(b.gone, id)
	}
	return b.entries[id]
}

// definitionsRefused reports whether the API server refuses the watch of the
// CRDs.
func (b *board) definitionsRefused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.definitions.Refused
}

// noteDefinitions takes a change of the state of the CRDs' own watch.
func (b *board) noteDefinitions(c Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.State != b.definitions.State || b.definedAt.IsZero() {
		b.definedAt = time.Now()
	}
	b.definitions = c
}

// note takes a change of state.
func (b *board) note(c Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := identity(c.Resource.GroupResource())
	if c.State == Stopped {
		delete(b.entries, id)
		b.gone[id] = c.Cause == ""
		return
	}
	e := b.entry(id, c)
	if e.State != c.State {
		e.Since = time.Now()
	}
	e.Change = c
	e.Synced = e.Synced || c.State == Watching
}

// refused tells whether a resource is waited for that discovery may find elsewhere. What is forbidden is forbidden in every version.
func (b *board) refused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.Refused && e.Cause != history.GapForbidden {
			return true
		}
	}
	return false
}

// refuses reports whether the API server refuses one resource.
func (b *board) refuses(id schema.GroupResource) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[id]
	return e != nil && e.Refused
}

// forbidden returns the resources that are not permitted and that the
// configuration does not name, sorted.
func (b *board) forbidden() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.Cause == history.GapForbidden && !e.Configured {
			all = append(all, e.Resource.GroupResource().String())
		}
	}
	slices.Sort(all)
	return all
}

func (b *board) states() []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.others)
	for _, e := range b.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(x, y Status) int {
		return cmp.Or(cmp.Compare(x.Resource.Group, y.Resource.Group), cmp.Compare(x.Resource.Plural, y.Resource.Plural))
	})
	return all
}

// noteDiscovery takes the outcome of the last discovery: nil, the error of some
// groups, or that of all.
func (b *board) noteDiscovery(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = map[string]error{}
	groups, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	for gv, cause := range groups {
		b.failed[gv.Group] = cause
	}
	c := Change{State: Watching}
	if err != nil && !partly {
		c = waiting(history.Resource{}, err)
	}
	c.Resource = discoveryResource()
	if c.State != b.discovery.State || b.discovery.Since.IsZero() {
		b.discovery.Since = time.Now()
	}
	b.discovery.Change = c
}

// dependencies returns the states of what the others depend on: of discovery
// and, if it is wanted and not a resource's own, of the watch of the CRDs.
func (b *board) dependencies() (all []Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all = append(all, b.discovery)
	_, recorded := b.entries[definitionResource().GroupResource()]
	if b.targets.DiscoverCRDs && b.definitions.Resource.Plural != "" && !recorded {
		all = append(all, Status{Change: b.definitions, Since: b.definedAt, Configured: true})
	}
	return all
}

// troubles returns the states of what the others depend on, as far as that is
// not in sync: of discovery and, if it is wanted, of the watch of the CRDs. What
// they found is planned a moment after they found it.
func (b *board) troubles() (all []Status) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.discovery; d.State != Watching || !b.planned {
		if d.State == Watching {
			d.State = Waiting
		}
		all = append(all, d)
	}
	id := definitionResource().GroupResource()
	if e := b.entries[id]; b.targets.DiscoverCRDs && !b.defined && (e == nil || e.State == Watching) {
		d := Status{Change: b.definitions, Since: b.definedAt, Configured: true}
		d.Resource = definitionResource()
		if d.State == Watching {
			d.State = Waiting
		}
		all = append(all, d)
	}
	return all
}

// absence tells why a resource that has no state is not observed.
func (b *board) absence(r schema.GroupResource) (history.GapReason, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := identity(r)
	other := slices.ContainsFunc(b.others, func(s Status) bool { return s.Resource.GroupResource() == r })
	switch {
	case b.entries[id] != nil || other:
		return "", ""
	case len(b.served) == 0 && b.discovery.Cause != "":
		return b.discovery.Cause, b.discovery.Reason
	case len(b.served) == 0:
		return history.GapRestarted, "the recorder was restarted, and does not know yet what there is to record"
	case b.targets.DiscoverCRDs && !b.defined && b.definitions.Cause != "":
		return b.definitions.Cause, "the definitions of resources can't be watched: " + b.definitions.Reason
	case b.targets.DiscoverCRDs && !b.defined:
		return history.GapRestarted, "the recorder was restarted, and does not know yet which resources are defined"
	case b.failed[r.Group] != nil && !serves(b.served, id):
		return history.GapServerError, untold(r.String(), b.failed[r.Group])
	case b.gone[id] || !serves(b.served, id):
		return "", ""
	}
	if _, reason := b.unwanted(r); reason != "" {
		return history.GapNotConfigured, reason
	}
	return history.GapRestarted, "the recorder is about to watch it"
}

func serves(served []history.Resource, id schema.GroupResource) bool {
	return slices.ContainsFunc(served, func(r history.Resource) bool { return identity(r.GroupResource()) == id })
}
