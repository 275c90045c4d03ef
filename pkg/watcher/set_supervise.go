package watcher

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// linger is how long the watcher of a deleted CRD goes on: the deletions of its objects come before the CRD's own, but
// by another watch.
const linger = 5 * time.Second

// definitionsWithin is how long the resources that are only discovered wait for
// the CRDs at first. A CRD names the version to watch, and when it was created.
const definitionsWithin = 10 * time.Second

// unit is a running watcher of a set.
type unit struct {
	plan
	stop func()    // ends the watcher and waits for it
	gone time.Time // when the plan was given up; zero: it was not
}

// supervise starts and stops watchers, so that one runs for each plan, and one for the CRDs where they are discovered. It
// alone knows the units.
func (s *Set) supervise(ctx context.Context, group *errgroup.Group) error {
	units := map[schema.GroupResource]*unit{}
	chosen := choice{targets: &Targets{}}
	defined := newDefinedPlans()
	var endDefinitions func() // nil: they are not watched
	var lingered, overdue <-chan time.Time
	others := false // what is only discovered waits for the CRDs no longer
	for {
		select {
		case <-ctx.Done():
			return nil
		case chosen = <-s.configured:
		case now := <-s.defined:
			defined.update(now, time.Now())
		case <-overdue:
			others = true
		case <-lingered:
		}
		switch watched := endDefinitions != nil; {
		case chosen.targets.DiscoverCRDs && !watched:
			endDefinitions = spawn(ctx, group, s.watchDefinitions)
			overdue = time.After(definitionsWithin)
		case !chosen.targets.DiscoverCRDs && watched:
			endDefinitions()
			endDefinitions = nil
			defined.update(nil, time.Now())
		}
		others = others || !chosen.targets.DiscoverCRDs || defined.now != nil || s.board.definitionsRefused()
		wanted := chosen.wanted(defined, others)
		s.keepServed(units, chosen, wanted)
		lingered = s.retire(units, chosen, wanted, time.Now())
		s.board.plan(wanted, defined.now)
		for id, p := range wanted {
			if units[id] == nil {
				units[id] = s.start(ctx, group, p)
			}
		}
	}
}

// keepServed adds the discovered resources that a discovery missed while their
// watchers are not refused: a group that is away for a moment is missing in it,
// and a watch that goes on is the better witness.
func (s *Set) keepServed(units map[schema.GroupResource]*unit, chosen choice, wanted plans) {
	for id, u := range units {
		_, ok := wanted[id]
		if !ok && u.life == "" && chosen.dropped(id, u) == "" && !s.board.refuses(id) {
			wanted[id] = u.plan
		}
	}
}

// retire stops the units that are not wanted any more, or not as they are. It returns when to look again.
func (s *Set) retire(units map[schema.GroupResource]*unit, chosen choice, wanted plans, now time.Time) (again <-chan time.Time) {
	for id, u := range units {
		p, ok := wanted[id]
		switch dropped := chosen.dropped(id, u); {
		case ok && u.same(p):
			u.gone = time.Time{}
		case ok:
			u.stop()
			delete(units, id)
		case dropped != "":
			s.end(units, id, dropped, history.GapNotConfigured)
		case u.gone.IsZero():
			u.gone = now
			again = time.After(linger)
		case now.Sub(u.gone) < linger:
			again = time.After(linger - now.Sub(u.gone))
		default:
			s.end(units, id, reasonGone, "")
		}
	}
	return again
}

// end stops a unit for good, as far as anybody knows.
func (s *Set) end(units map[schema.GroupResource]*unit, id schema.GroupResource, reason string, cause history.GapReason) {
	u := units[id]
	u.stop()
	delete(units, id)
	s.log.Info("resource is observed no longer", "resource", id.String(), "reason", reason)
	s.changed(Change{Resource: u.resource, State: Stopped, Reason: reason, Cause: cause})
}

// same tells whether the plan is the unit's. A life that becomes known later is no other life.
func (u *unit) same(p plan) bool {
	if u.life == "" {
		u.life = p.life
	}
	u.named = p.named
	return reflect.DeepEqual(u.resource, p.resource) && (p.life == "" || p.life == u.life)
}

func (s *Set) start(ctx context.Context, group *errgroup.Group, p plan) *unit {
	return &unit{plan: p, stop: spawn(ctx, group, func(ctx context.Context) error { return s.run(ctx, p) })}
}

// spawn runs something in the group, and returns how to end it alone and wait for that.
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

func (s *Set) run(ctx context.Context, p plan) error {
	sink, err := s.opts.Open(ctx, p.resource)
	if history.CodeOf(err) == history.Invalid {
		s.changed(Change{Resource: p.resource, State: Waiting, Reason: err.Error(), Cause: history.GapStorage, Refused: true})
		s.log.ErrorContext(ctx, "resource can't be recorded", "resource", p.resource.GroupResource().String(), "err", err)
		<-ctx.Done()
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the record of %s: %w", p.resource.GroupResource(), err)
	}
	opts := s.opts.Options
	opts.OnChange = s.changed
	if registersGroups(p.resource.GroupResource()) {
		sink = &noticed{Sink: sink, notice: s.lookAgain}
	}
	w := newWatcher(s.server, s.shared, p.resource, sink, opts)
	w.named = p.named
	if err := w.Run(ctx); err != nil {
		return fmt.Errorf("record %s: %w", p.resource.GroupResource(), err)
	}
	return nil
}

// registersGroups reports whether a resource's objects are the registrations of
// the groups that other API servers serve.
func registersGroups(r schema.GroupResource) bool {
	return r == schema.GroupResource{Group: "apiregistration.k8s.io", Resource: "apiservices"}
}

// noticed is a sink of objects whose changes change what discovery finds.
type noticed struct {
	Sink

	notice func()
}

// Observe implements [Sink].
func (n *noticed) Observe(ctx context.Context, f history.WatchEvent) error {
	n.notice()
	return n.Sink.Observe(ctx, f) //nolint:wrapcheck // it stands for the sink
}
