package gap

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Phase is the progress of a resource's observation.
type Phase uint8

// The phases.
const (
	Absent    Phase = iota // the resource has no watcher
	Waiting                // its watcher waits for the API server, or has not tried yet
	Observing              // its watcher lists or watches
	Excluded               // the configuration ignores it by name
)

// Observation is how a resource is observed at the moment.
type Observation struct {
	Resource schema.GroupResource
	Phase    Phase
	// Cause is why the resource is not observed. It is zero if the resource is
	// observed, if there is nothing to observe, and if its watcher has not
	// tried yet.
	Cause Cause
	Since time.Time // when the resource reached this phase

	Configured   bool // the configuration names the resource
	Refused      bool // the API server does not serve it, or not to this user
	Establishing bool // the API server is about to serve it
}

// unavailable reports whether a resource that was never observed can't be
// observed now although it should be. If a resource was only discovered, a
// refusal is expected. A resource that is being established is available soon.
func (o Observation) unavailable() bool {
	return o.Phase == Waiting && !o.Cause.None() && !o.Establishing && (o.Configured || !o.Refused)
}

// cause returns why changes of the resource are not recorded. It returns the
// zero Cause if they are, or if there are none to record. refused is why the
// log rejects records, or nil.
func (o Observation) cause(refused error) Cause {
	switch {
	case o.Phase == Waiting && o.Cause.None():
		return Cause{history.GapRestarted, "the recorder was restarted and is catching up"}
	case o.Phase != Observing:
		return o.Cause
	case refused != nil:
		return Cause{history.GapStorage, refused.Error()}
	default:
		return Cause{}
	}
}

// liveGap returns the gap of a resource that is not observed for this cause.
// ok is false if it has none. c is its checkpoint. Without an RV, the resource
// was never observed, its first list has not ended, or the log has an open gap.
//
// A resource that was never observed has a gap only if it is unavailable.
// Otherwise an empty answer would look like a resource without changes.
func liveGap(o Observation, cause Cause, c history.Checkpoint, now time.Time) (g history.Gap, ok bool) {
	start := c.GapStart(now)
	switch never := NeverListed(c); {
	case never && o.unavailable():
		start = o.Since.UTC()
	case never, c.RV == "" && o.Phase == Waiting:
		return history.Gap{}, false
	}
	return history.Gap{
		Group: o.Resource.Group, Resource: o.Resource.Resource,
		Start: start, Reason: cause.Reason, Detail: cause.Detail,
	}, true
}

// Observer reports how resources are observed. It is safe for concurrent use.
type Observer interface {
	// Observations returns the resources that have a watcher, are configured,
	// or are excluded. The order does not matter.
	Observations() []Observation
	// Absence returns why a resource without an observation is not observed. It
	// returns the zero Cause if there is nothing to observe, because no API
	// server serves it.
	Absence(schema.GroupResource) Cause
}

// Log has the data for live gaps. It is safe for concurrent use.
type Log interface {
	// Resources returns the catalogue: all resources that were ever recorded.
	Resources(context.Context) ([]history.Resource, error)
	// Heads yields the newest version of every object that is alive.
	Heads(context.Context, schema.GroupResource) iter.Seq2[history.Head, error]
	// Checkpoint returns the last checkpoint, or one without an RV.
	Checkpoint(context.Context, schema.GroupResource) (history.Checkpoint, error)
	// Gaps returns the durable gaps that overlap with the time from start to
	// end, of the given resources, or of all if there are none.
	Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error)
}

// Live adds the live gaps to those of the log. It is safe for concurrent use.
type Live struct {
	log      Log
	observer Observer
	refused  func() error

	// ended caches, for resources that are not served any more, the checkpoint
	// at which no object was alive: a history.Checkpoint by
	// schema.GroupResource.
	ended sync.Map
}

// NewLive returns the gaps of a log, and of the resources that an observer does
// not observe. refused returns why the log rejects records at the moment, or
// nil. It must be safe for concurrent use.
func NewLive(log Log, observer Observer, refused func() error) *Live {
	return &Live{log: log, observer: observer, refused: refused}
}

// Gaps returns the durable and the live gaps that overlap with the time from
// start to end, ordered by their start. A zero end means no end. No resources
// mean all resources.
func (l *Live) Gaps(
	ctx context.Context, resources []schema.GroupResource, start, end time.Time,
) ([]history.Gap, error) {
	// Live gaps are read first. A gap that becomes durable meanwhile is then
	// found twice instead of never.
	live, err := l.Current(ctx, resources)
	if err != nil {
		return nil, err
	}
	gaps, err := l.log.Gaps(ctx, resources, start, end)
	if err != nil {
		return nil, err
	}
	for _, g := range live {
		durable := slices.ContainsFunc(gaps, func(d history.Gap) bool {
			return d.GroupResource() == g.GroupResource() && (d.Open() || d.Start.Equal(g.Start))
		})
		if !durable && g.Touches(start, end) {
			gaps = append(gaps, g)
		}
	}
	slices.SortStableFunc(gaps, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return gaps, nil
}

// Open returns the gaps that are open now. It returns none if the log can't be
// read, which shows elsewhere.
func (l *Live) Open(ctx context.Context) []history.Gap {
	gaps, err := l.Gaps(ctx, nil, time.Now(), time.Time{})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(gaps, func(g history.Gap) bool { return !g.Open() })
}

// Current returns the live gaps. No resources mean all resources. Reserved
// resources are not watched, and have none.
func (l *Live) Current(ctx context.Context, resources []schema.GroupResource) (gaps []history.Gap, err error) {
	observations := map[schema.GroupResource]Observation{}
	for _, o := range l.observer.Observations() {
		observations[o.Resource] = o
	}
	if len(resources) == 0 {
		if resources, err = l.all(ctx, observations); err != nil {
			return nil, err
		}
	}
	for _, r := range resources {
		if history.IsReserved(r) {
			continue
		}
		o, ok := observations[r]
		if !ok {
			o = Observation{Resource: r, Phase: Absent, Cause: l.observer.Absence(r)}
		}
		g, ok, err := l.current(ctx, o)
		if err != nil {
			return nil, err
		}
		if ok {
			gaps = append(gaps, g)
		}
	}
	return gaps, nil
}

// current returns the live gap of one resource. ok is false if it has none.
func (l *Live) current(ctx context.Context, o Observation) (g history.Gap, ok bool, err error) {
	cause := o.cause(l.refused())
	if cause.None() && o.Phase != Absent {
		return history.Gap{}, false, nil
	}
	c, err := l.log.Checkpoint(ctx, o.Resource)
	if err == nil && cause.None() {
		cause, err = l.unobservedDeletion(ctx, o.Resource, c)
	}
	if err != nil || cause.None() {
		return history.Gap{}, false, err
	}
	g, ok = liveGap(o, cause, c, time.Now())
	return g, ok, nil
}

// all returns the resources of the catalogue. It adds those for which discovery
// failed, so that it is unknown whether the API server serves them.
func (l *Live) all(
	ctx context.Context, observations map[schema.GroupResource]Observation,
) (resources []schema.GroupResource, err error) {
	catalogue, err := l.log.Resources(ctx)
	if err != nil {
		return nil, err
	}
	recorded := map[schema.GroupResource]bool{}
	for _, r := range catalogue {
		recorded[r.GroupResource()] = true
		resources = append(resources, r.GroupResource())
	}
	for r, o := range observations {
		if !recorded[r] && o.unavailable() && o.Cause.Reason == history.GapServerError {
			resources = append(resources, r)
		}
	}
	return resources, nil
}

// unobservedDeletion returns the cause of the gap of a resource whose CRD is
// gone while heads remain: the deletions of these objects were not observed. It
// returns the zero Cause if all objects were seen to be deleted.
//
// The result is cached for as long as the checkpoint stays the same, because
// there may be many such resources.
func (l *Live) unobservedDeletion(ctx context.Context, r schema.GroupResource, c history.Checkpoint) (Cause, error) {
	if ended, ok := l.ended.Load(r); ok && ended == c {
		return Cause{}, nil
	}
	for _, err := range l.log.Heads(ctx, r) {
		const detail = "it is not served any more, and the deletions of some objects were not observed"
		return Cause{history.GapNotServed, detail}, err
	}
	l.ended.Store(r, c)
	return Cause{}, nil
}
