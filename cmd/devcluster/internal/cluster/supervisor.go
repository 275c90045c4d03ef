package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

// Observer receives the progress of a start. Both functions are called from one
// goroutine.
type Observer struct {
	// Progress receives short lines while the cluster starts.
	Progress func(line string)
	// Ready is called once, when the cluster can be used.
	Ready func(State)
}

// supervisor owns the processes of one cluster and is the only writer of its
// state file.
type supervisor struct {
	spec       Spec
	layout     layout
	ports      ports
	executable string
	observer   Observer
	logger     *slog.Logger

	mu    sync.Mutex // guards state and its file
	state State
}

// Supervise boots the cluster that spec describes and keeps it running until
// ctx is done: it restarts a component that ends. When it returns, no process
// and no file of the cluster is left, even if the start failed. It starts the
// components from executable, which must be this program.
//
// A done context is not an error. Supervise kills the components, because their
// data is not kept.
func Supervise(ctx context.Context, spec Spec, executable string, observer Observer) (err error) {
	if err := spec.validate(); err != nil {
		return err
	}
	s := &supervisor{spec: spec, layout: layout(spec.Dir), executable: executable, observer: observer}
	if err := s.claim(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(spec.Dir)) }()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	logFile, err := os.OpenFile(s.layout.supervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer func() { err = errors.Join(err, logFile.Close()) }()
	s.logger = slog.New(slog.NewTextHandler(logFile, nil))

	err = s.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *supervisor) claim(ctx context.Context) error {
	self, err := process.Identify(os.Getpid())
	if err != nil {
		return err
	}
	s.state = State{
		Name: s.spec.Name, Dir: s.spec.Dir, Kubeconfig: s.layout.admin(),
		Created: time.Now().UTC(), Supervisor: self, Forwards: s.spec.Forwards,
	}
	return s.state.claim(ctx)
}

// prepare writes the files that the components read, and chooses their ports.
func (s *supervisor) prepare(ctx context.Context) error {
	if err := s.layout.make(); err != nil {
		return err
	}
	free, reservation, err := reservePorts(ctx, 6)
	if err != nil {
		return err
	}
	s.ports = ports{free[0], free[1], free[2], free[3], free[4], free[5]}
	for _, component := range s.spec.Components {
		s.state.Components = append(s.state.Components, ComponentState{
			Name: component, Port: s.ports.of(component), Log: s.layout.log(component),
		})
	}
	s.state.Server = url(s.ports.apiServer)
	err = errors.Join(
		s.layout.credentials(s.spec.Name, s.state.Server),
		s.layout.writeKwokConfig(s.spec.Forwards),
		s.state.save(),
	)
	return errors.Join(err, reservation.Close())
}

// run runs the components until ctx is done, or until one fails before the
// cluster is ready. It returns when all processes have ended.
func (s *supervisor) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	start := func(component string) {
		group.Go(func() error { return s.keep(ctx, component) })
	}
	group.Go(func() error { return s.boot(ctx, start) })
	return group.Wait()
}

// update changes the state and its file.
func (s *supervisor) update(change func(*State)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	return s.state.save()
}

func (s *supervisor) ready() bool { return s.snapshot().Ready }

func (s *supervisor) snapshot() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := s.state
	copied.Components = slices.Clone(s.state.Components)
	return copied
}
