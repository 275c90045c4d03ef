package watcher

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// SetOptions are the settings of a [Set], and its first targets.
type SetOptions struct {
	Options
	Targets

	// Open returns the sink of a resource, and why the resource was not
	// observed until now, if that is known. The resource has the names of the
	// API server.
	//
	// Open is called again for a resource whose version or names have changed,
	// after the watcher of the former sink has ended. An error ends the set.
	// The exception is a [history.Invalid] error: the resource can't be
	// recorded, and waits until its plan changes.
	Open func(context.Context, history.Resource) (Sink, gap.Cause, error)
	// Documents is the sink of the API server's documents. Nil means that they
	// are not read.
	Documents DocumentSink
}

// Set keeps one [Watcher] running for each resource that its targets include.
// Its methods are safe for concurrent use.
//
// Four goroutines run next to the watchers. discover finds resources, supervise
// starts and stops watchers, readDocuments reads what the API server says about
// itself, and report logs changes of state. They communicate by channels. Other
// goroutines read the status tracker.
type Set struct {
	server  *apiserver.Client
	outages *outages
	opts    SetOptions
	log     *slog.Logger
	status  *statusTracker
	targets atomic.Pointer[Targets] // replaced, never modified

	forbidden  []string              // as last logged; owned by report
	selected   chan selection        // from discover to supervise
	defined    chan plans            // from the watch of the CRDs to supervise
	rediscover chan struct{}         // wakes discover
	changes    chan struct{}         // wakes report
	discovered chan discoveryOutcome // from discover to readDocuments; has the newest one
	redefined  chan struct{}         // wakes readDocuments after a change of a CRD
}

// NewSet returns a set that watches with the credentials of cfg. It does not
// connect.
func NewSet(cfg *rest.Config, opts SetOptions) (*Set, error) {
	server, err := apiserver.New(cfg)
	if err != nil {
		return nil, err
	}
	opts.Options = opts.withDefaults()
	s := &Set{
		server:     server,
		outages:    newOutages(),
		opts:       opts,
		log:        opts.Logger,
		status:     newStatusTracker(),
		selected:   make(chan selection),
		defined:    make(chan plans),
		rediscover: make(chan struct{}, 1),
		changes:    make(chan struct{}, 1),
		discovered: make(chan discoveryOutcome, 1),
		redefined:  make(chan struct{}, 1),
	}
	s.targets.Store(&opts.Targets)
	return s, nil
}

// Configure replaces the targets. It returns before the watchers change. The
// set owns t afterwards.
//
// Watchers of resources that stay included continue, unless the version of the
// resource changes. The others end. They resume from the checkpoints of their
// sinks when they are included again.
func (s *Set) Configure(t Targets) {
	s.targets.Store(&t)
	s.discoverSoon()
}

// Run watches until ctx is done, a sink fails, or a sink can't be opened. It
// returns nil or that error, after all watchers have ended. Run must be called
// once.
func (s *Set) Run(ctx context.Context) error {
	defer s.server.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.discover(ctx); return nil })
	group.Go(func() error { s.report(ctx); return nil })
	group.Go(func() error { s.readDocuments(ctx); return nil })
	group.Go(func() error { return s.supervise(ctx, group) })
	return group.Wait()
}

// States returns the state of every resource that has a watcher, is configured,
// or is ignored by name. They are ordered by group and plural.
func (s *Set) States() []Status { return s.status.states() }

// Troubles returns the states of discovery and of the watch of the CRDs, if
// they are not in sync. Until they are, resources may be missing in
// [Set.States].
func (s *Set) Troubles() []Status { return s.status.troubles() }

// Observations returns [Set.States] in the terms of gaps. It implements
// [gap.Observer].
func (s *Set) Observations() []gap.Observation {
	states := s.status.states()
	all := make([]gap.Observation, len(states))
	for i, status := range states {
		all[i] = status.observation()
	}
	return all
}

// Absence returns why changes of a resource without a state are not observed.
// It returns the zero Cause if there is nothing to observe: the API server does
// not serve the resource, or its CRD is deleted. It implements [gap.Observer].
func (s *Set) Absence(r schema.GroupResource) gap.Cause { return s.status.absence(r) }

// watchCRDs watches the CRDs and sends the plans that they define to supervise.
// Each change of the plans also starts a discovery.
func (s *Set) watchCRDs(ctx context.Context) error {
	opts := s.opts.Options
	opts.OnChange = func(c Change) {
		s.status.setCRDs(c)
		if c.Refused { // then only discovery finds what CRDs define
			s.discoverSoon()
		}
		signal(s.changes)
	}
	sink := &crdSink{known: map[string]plan{}, publish: func(ctx context.Context, p plans) {
		s.discoverSoon()
		send(ctx, s.defined, p)
	}}
	w := newWatcher(s.server, s.outages, crdResource(), &definitionSink{sink, s.definitionChanged}, opts)
	w.named = true
	return w.Run(ctx)
}

// stateChanged handles the changes of state of all watchers.
func (s *Set) stateChanged(c Change) {
	s.status.set(c)
	s.opts.OnChange(c)
	signal(s.changes)
	if c.Refused {
		s.discoverSoon()
	}
}

// definitionChanged makes the documents be read again soon.
func (s *Set) definitionChanged() { signal(s.redefined) }

// discoverSoon makes discover run again soon.
func (s *Set) discoverSoon() { signal(s.rediscover) }

// signal wakes the reader of a channel with one place. It does not block: if
// the channel is full, the reader is about to wake.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// send reports whether it sent v before ctx was done.
func send[T any](ctx context.Context, to chan<- T, v T) bool {
	select {
	case to <- v:
		return true
	case <-ctx.Done():
		return false
	}
}
