package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// linger is how long the watcher of a deleted CRD goes on: the deletions of its objects come before the CRD's own, but
// by another watch.
const linger = 5 * time.Second

// unit is a running watcher of a set.
type unit struct {
	plan
	stop func()    // ends the watcher and waits for it
	gone time.Time // when the plan was given up; zero: it was not
}

// supervise starts and stops watchers, so that one runs for each plan. It alone knows the units.
func (s *Set) supervise(ctx context.Context, group *errgroup.Group) error {
	units := map[schema.GroupResource]*unit{}
	var configured, defined plans
	var lingered <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case configured = <-s.configured:
		case defined = <-s.defined:
		case <-lingered:
		}
		wanted := merge(configured, defined)
		lingered = s.retire(units, wanted, time.Now())
		for id, p := range wanted {
			if units[id] == nil {
				units[id] = s.start(ctx, group, p)
			}
		}
	}
}

// merge returns the plans of both. A configured resource keeps its version, and takes the life of its definition.
func merge(configured, defined plans) plans {
	all := maps.Clone(configured)
	if all == nil {
		all = plans{}
	}
	for id, d := range defined {
		if c, ok := all[id]; ok {
			d.resource = c.resource
		}
		all[id] = d
	}
	return all
}

// retire stops the units that are not wanted any more, or not as they are. It returns when to look again.
func (s *Set) retire(units map[schema.GroupResource]*unit, wanted plans, now time.Time) (again <-chan time.Time) {
	for id, u := range units {
		p, ok := wanted[id]
		switch {
		case ok && u.same(p):
			u.gone = time.Time{}
		case ok:
			u.stop()
			delete(units, id)
		case u.gone.IsZero():
			u.gone = now
			again = time.After(linger)
		case now.Sub(u.gone) < linger:
			again = time.After(linger - now.Sub(u.gone))
		default:
			u.stop()
			delete(units, id)
			s.log.Info("resource is observed no longer: its definition is gone", "resource", id.String())
			s.changed(Change{Resource: u.resource, State: Stopped, Reason: "its definition is gone"})
		}
	}
	return again
}

// same tells whether the plan is the unit's. A life that becomes known later is no other life.
func (u *unit) same(p plan) bool {
	if u.life == "" {
		u.life = p.life
	}
	return reflect.DeepEqual(u.resource, p.resource) && (p.life == "" || p.life == u.life)
}

func (s *Set) start(ctx context.Context, group *errgroup.Group, p plan) *unit {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	group.Go(func() error {
		defer close(done)
		defer cancel()
		err := s.run(ctx, p)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	})
	return &unit{plan: p, stop: func() { cancel(); <-done }}
}

func (s *Set) run(ctx context.Context, p plan) error {
	sink, err := s.opts.Open(ctx, p.resource)
	if err != nil {
		return fmt.Errorf("open the record of %s: %w", p.resource.GroupResource(), err)
	}
	opts := s.opts.Options
	opts.OnChange = s.changed
	if err := newWatcher(s.server, p.resource, sink, opts).Run(ctx); err != nil {
		return fmt.Errorf("record %s: %w", p.resource.GroupResource(), err)
	}
	return nil
}
