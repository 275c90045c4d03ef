package watcher

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Status is the state of one resource of a [Set].
type Status struct {
	Change
	Since time.Time // when the state was entered
	// Synced says that everything that exists was observed once, now or by an earlier run whose checkpoint was resumed.
	Synced bool
	// Configured says that the resource is one of [SetOptions.Resources], and not only a CRD's.
	Configured bool
}

// board holds the states of a set's resources.
type board struct {
	mu         sync.Mutex
	discovered bool // the API server has answered once
	entries    map[schema.GroupResource]*Status
	missing    []Status // configured, but not found
}

func newBoard() *board { return &board{entries: map[schema.GroupResource]*Status{}} }

// discover takes the outcome of a discovery.
func (b *board) discover(answered bool, found plans, missing []Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.discovered = b.discovered || answered
	for id, p := range found {
		b.entry(id, Change{Resource: p.resource}).Configured = true
	}
	before := b.missing
	b.missing = nil
	for _, c := range missing {
		s := Status{Change: c, Since: time.Now(), Configured: true}
		for _, old := range before {
			if old.Resource.GroupResource() == c.Resource.GroupResource() && old.State == c.State {
				s.Since = old.Since
			}
		}
		b.missing = append(b.missing, s)
	}
}

func (b *board) entry(id schema.GroupResource, first Change) *Status {
	if b.entries[id] == nil {
		b.entries[id] = &Status{Change: first, Since: time.Now()}
	}
	return b.entries[id]
}

// note takes a change of state.
func (b *board) note(c Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	id := identity(c.Resource)
	if c.State == Stopped {
		delete(b.entries, id)
		return
	}
	e := b.entry(id, c)
	if e.State != c.State {
		e.Since = time.Now()
	}
	e.Change = c
	e.Synced = e.Synced || c.State == Watching
}

// refused tells whether a resource is waited for that discovery may find elsewhere.
func (b *board) refused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.Refused {
			return true
		}
	}
	return false
}

func (b *board) states() []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Clone(b.missing)
	for _, e := range b.entries {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(x, y Status) int {
		return cmp.Or(cmp.Compare(x.Resource.Group, y.Resource.Group), cmp.Compare(x.Resource.Plural, y.Resource.Plural))
	})
	return all
}

func (b *board) ready() error {
	b.mu.Lock()
	discovered := b.discovered
	b.mu.Unlock()
	if !discovered {
		return errors.New("the API server has not answered yet")
	}
	var pending []string
	for _, s := range b.states() {
		if s.Configured && !s.Synced && !s.Refused {
			pending = append(pending, s.Resource.GroupResource().String())
		}
	}
	if len(pending) > 0 {
		return fmt.Errorf("not observed yet: %s", strings.Join(pending, ", "))
	}
	return nil
}
