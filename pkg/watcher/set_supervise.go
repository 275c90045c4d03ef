package watcher

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// deletionGrace is how long the watcher of a deleted CRD continues. The objects
// are deleted before the CRD, but another watch reports their deletions.
const deletionGrace = 5 * time.Second

// waitForCRDs is how long resources that are only discovered wait for the CRDs
// at the start. A CRD has the version to watch, and a UID.
const waitForCRDs = 10 * time.Second

// runningWatcher is a watcher that the set started.
type runningWatcher struct {
	plan
	stop    func()    // ends the watcher and waits for it
	dropped time.Time // when its plan disappeared; zero while it has one
}

// supervisor starts and stops watchers, so that one runs for each plan. Only
// its goroutine uses it.
type supervisor struct {
	*Set
	group   *errgroup.Group
	running map[schema.GroupResource]*runningWatcher // by identity
	// causes are kept for the resources of former watchers too: the next
	// watcher of a resource continues with the same sink.
	causes map[schema.GroupResource]*gap.Causes
}

// supervise keeps the watchers in line with the plans until ctx is done. It
// also runs the watch of the CRDs while the targets include them.
//
// After each event it computes the wanted plans, stops the watchers without one
// or with another one, and starts those that are missing.
func (s *Set) supervise(ctx context.Context, group *errgroup.Group) error {
	v := &supervisor{
		Set: s, group: group,
		running: map[schema.GroupResource]*runningWatcher{}, causes: map[schema.GroupResource]*gap.Causes{},
	}
	selected := selection{targets: &Targets{}}
	defined := newDefinedPlans()
	var stopCRDs func() // nil: they are not watched
	var graceOver, waitOver <-chan time.Time
	discovered := false // resources that are only discovered don't wait for the CRDs any more
	for {
		select {
		case <-ctx.Done():
			return nil
		case selected = <-s.selected:
		case current := <-s.defined:
			defined.update(current, time.Now())
		case <-waitOver:
			discovered = true
		case <-graceOver: // stopUnwanted ends the watchers
		}
		switch watched := stopCRDs != nil; {
		case selected.targets.DiscoverCRDs && !watched:
			stopCRDs = spawn(ctx, group, s.watchCRDs)
			waitOver = time.After(waitForCRDs)
		case !selected.targets.DiscoverCRDs && watched:
			stopCRDs()
			stopCRDs = nil
			defined.update(nil, time.Now())
		}
		discovered = discovered || !selected.targets.DiscoverCRDs || defined.current != nil || s.status.crdsRefused()
		wanted := selected.wanted(defined, discovered)
		v.keepServed(selected, wanted)
		graceOver = v.stopUnwanted(selected, wanted, time.Now())
		s.status.setPlans(wanted, defined.current)
		v.startMissing(ctx, wanted)
	}
}

// keepServed adds plans for discovered resources that the last discovery did
// not return, if their watchers are not refused. Discovery misses the resources
// of a group whose server is away for a moment. A watch that continues is
// better evidence.
func (v *supervisor) keepServed(selected selection, wanted plans) {
	for id, w := range v.running {
		_, ok := wanted[id]
		if !ok && w.crdUID == "" && selected.dropped(id, w) == "" && !v.status.isRefused(id) {
			wanted[id] = w.plan
		}
	}
}

// stopUnwanted stops the watchers that have no plan any more or another one. It
// returns a channel that fires when the next deletion grace may be over, or
// nil.
func (v *supervisor) stopUnwanted(selected selection, wanted plans, now time.Time) (graceOver <-chan time.Time) {
	for id, w := range v.running {
		p, ok := wanted[id]
		switch dropped := selected.dropped(id, w); {
		case ok && w.follows(p):
			w.dropped = time.Time{}
		case ok:
			w.stop()
			delete(v.running, id)
		case dropped != "":
			v.end(id, gap.Cause{Reason: history.GapNotConfigured, Detail: dropped})
		case w.dropped.IsZero():
			w.dropped = now
			graceOver = time.After(deletionGrace)
		case now.Sub(w.dropped) < deletionGrace:
			graceOver = time.After(deletionGrace - now.Sub(w.dropped))
		default:
			v.end(id, gap.Cause{Detail: detailNoCRD})
		}
	}
	return graceOver
}

// end stops a watcher, waits for it, and removes the state of its resource.
func (v *supervisor) end(id schema.GroupResource, cause gap.Cause) {
	w := v.running[id]
	w.stop()
	delete(v.running, id)
	v.log.Info("stopped watching", "resource", id.String(), "detail", cause.Detail)
	v.stateChanged(Change{Resource: w.resource, State: Stopped, Cause: cause})
}

// follows reports whether the watcher follows the plan. A CRD UID that becomes
// known later does not make another plan.
func (w *runningWatcher) follows(p plan) bool {
	if w.crdUID == "" {
		w.crdUID = p.crdUID
	}
	w.named = p.named
	return reflect.DeepEqual(w.resource, p.resource) && (p.crdUID == "" || p.crdUID == w.crdUID)
}

// startMissing starts a watcher for each plan that has none.
func (v *supervisor) startMissing(ctx context.Context, wanted plans) {
	for id, p := range wanted {
		if v.running[id] != nil {
			continue
		}
		sink := p.resource.GroupResource() // has its own causes, also if the identity is shared
		causes := v.causes[sink]
		if causes == nil {
			causes = &gap.Causes{}
			v.causes[sink] = causes
		}
		v.running[id] = &runningWatcher{
			plan: p, stop: spawn(ctx, v.group, func(ctx context.Context) error { return v.watch(ctx, p, causes) }),
		}
	}
}

// spawn runs a function in the group. stop cancels the function and waits for
// it. An error of the cancellation does not end the group.
func spawn(ctx context.Context, group *errgroup.Group, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		defer cancel()
		err := run(ctx)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	})
	return func() { cancel(); <-done }
}

// watch opens the sink of a resource and runs its watcher until ctx is done. If
// the resource can't be recorded, watch still waits for ctx, so that the sink
// is not opened again until the plan changes.
func (s *Set) watch(ctx context.Context, p plan, causes *gap.Causes) error {
	sink, missed, err := s.opts.Open(ctx, p.resource)
	if history.CodeOf(err) == history.Invalid {
		cause := gap.Cause{Reason: history.GapStorage, Detail: err.Error()}
		causes.Add(cause)
		s.stateChanged(Change{Resource: p.resource, State: Waiting, Refused: true, Cause: cause})
		args := []any{"resource", p.resource.GroupResource().String(), "err", err}
		if hint := history.HintOf(err); hint != "" {
			args = append(args, "hint", hint)
		}
		s.log.ErrorContext(ctx, "resource can't be recorded", args...)
		<-ctx.Done()
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the sink of %s: %w", p.resource.GroupResource(), err)
	}
	causes.Add(missed)
	opts := s.opts.Options
	opts.OnChange = s.stateChanged
	switch p.resource.GroupResource() {
	case crdResource().GroupResource():
		sink = &definitionSink{sink, s.definitionChanged}
	case registrationResource():
		sink = &definitionSink{sink, func() { s.definitionChanged(); s.discoverSoon() }}
	}
	w := newWatcher(s.server, s.outages, p.resource, sink, opts)
	w.named, w.causes = p.named, causes
	if err := w.Run(ctx); err != nil {
		return fmt.Errorf("watch %s: %w", p.resource.GroupResource(), err)
	}
	return nil
}

// registrationResource returns the resource whose objects register the groups
// of aggregated API servers.
func registrationResource() schema.GroupResource {
	return schema.GroupResource{Group: "apiregistration.k8s.io", Resource: "apiservices"}
}

// definitionSink calls changed for each event, because its objects define what
// the API server serves.
type definitionSink struct {
	Sink

	changed func()
}

// Observe implements [Sink].
func (n *definitionSink) Observe(ctx context.Context, e history.WatchEvent) error {
	n.changed()
	return n.Sink.Observe(ctx, e) //nolint:wrapcheck // the error is the sink's
}
