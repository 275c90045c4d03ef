package watcher

import (
	"context"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// SetOptions are what a [Set] watches at first, and how.
type SetOptions struct {
	Options
	Targets

	// Open returns the sink of a resource with the names that the server has for it. It is called again for a resource
	// whose version or names have changed, after the watcher of the former sink has ended. An error ends the set,
	// but for a [history.Invalid] one: the resource can't be recorded, and is waited for until it is planned anew.
	Open func(context.Context, history.Resource) (Sink, error)
}

// Set keeps one [Watcher] running for each resource that is configured or, with discovery, defined by a CRD. Its methods
// are safe for concurrent use.
type Set struct {
	server  *apiserver.Client
	shared  *recovery
	opts    SetOptions
	log     *slog.Logger
	board   *board
	targets atomic.Pointer[Targets] // never written through

	forbidden  []string      // as last logged; discovery's own
	configured chan choice   // from discovery to the supervisor
	defined    chan plans    // from the CRDs' watch to the supervisor
	again      chan struct{} // something changed that discovery may see
	news       chan struct{} // something changed that the log may say
}

// NewSet returns a set that watches with the credentials of cfg. It does not connect.
func NewSet(cfg *rest.Config, opts SetOptions) (*Set, error) {
	server, err := apiserver.New(cfg)
	if err != nil {
		return nil, err
	}
	opts.Options = opts.withDefaults()
	s := &Set{
		server:     server,
		shared:     newRecovery(),
		opts:       opts,
		log:        opts.Logger,
		board:      newBoard(),
		configured: make(chan choice),
		defined:    make(chan plans),
		again:      make(chan struct{}, 1),
		news:       make(chan struct{}, 1),
	}
	s.targets.Store(&opts.Targets)
	return s, nil
}

// Configure replaces what is watched, soon after it returns. What was configured, or a CRD's, and is configured now, or still
// a CRD's, is not disturbed, unless its version changes. What is not wanted any more ends, and resumes from its sink's
// checkpoint when it is wanted again. The caller writes to t no more.
func (s *Set) Configure(t Targets) {
	s.targets.Store(&t)
	s.lookAgain()
}

// Run watches until ctx is done, and then returns nil, or until a sink fails or can't be opened, and then returns that
// error. When it returns, all watchers have ended. Run must be called once.
func (s *Set) Run(ctx context.Context) error {
	defer s.server.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.discover(ctx); return nil })
	group.Go(func() error { s.report(ctx); return nil })
	group.Go(func() error { return s.supervise(ctx, group) })
	return group.Wait()
}

// States returns the state of every resource that is configured, defined by a CRD, discovered, or excluded, ordered by group and
// plural.
func (s *Set) States() []Status { return s.board.states() }

// Troubles returns the states of discovery and of the watch of the CRDs, as far
// as they are not in sync: what they would find is missing in [Set.States].
func (s *Set) Troubles() []Status { return s.board.troubles() }

// Absence tells why changes of a resource that has no state are not seen: for programs, "" where none can be missed, and for
// people. There is nothing to see where no API server serves the resource, or its definition is gone.
func (s *Set) Absence(r schema.GroupResource) (history.GapReason, string) { return s.board.absence(r) }

func (s *Set) watchDefinitions(ctx context.Context) error {
	opts := s.opts.Options
	opts.OnChange = func(c Change) {
		s.board.noteDefinitions(c)
		if c.Refused { // then discovery alone says what CRDs define
			s.lookAgain()
		}
		signal(s.news)
	}
	sink := &definitions{known: map[string]plan{}, publish: func(ctx context.Context, p plans) {
		s.lookAgain()
		send(ctx, s.defined, p)
	}}
	w := newWatcher(s.server, s.shared, definitionResource(), sink, opts)
	w.named = true
	return w.Run(ctx)
}

// changed is told the states of all the set's watchers.
func (s *Set) changed(c Change) {
	s.board.note(c)
	s.opts.OnChange(c)
	signal(s.news)
	if c.Refused {
		s.lookAgain()
	}
}

func (s *Set) lookAgain() { signal(s.again) }

// signal lets the reader of a channel of one look at what has changed.
func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default: // it will look anyway
	}
}

// send tells whether p was taken before ctx was done.
func send[T any](ctx context.Context, to chan<- T, p T) bool {
	select {
	case to <- p:
		return true
	case <-ctx.Done():
		return false
	}
}
