package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// shutdownTimeout bounds how long a stopping server waits for its requests.
const shutdownTimeout = 5 * time.Second

// pruneInterval is the time between two prunings.
const pruneInterval = time.Minute

// components runs components that depend on those started before them, and
// stops them in reverse order.
//
// Each component has a context of its own, which does not end with the caller's
// context. So the components can be stopped one after the other.
type components struct {
	base  context.Context //nolint:containedctx // the parent of the components' contexts
	stops []func()        // each stops one component and waits for it
	ended chan struct{}   // receives when a component returns

	mu    sync.Mutex // guards first
	first error      // the first error: later ones are its consequences
}

// newComponents returns components that inherit the values of ctx, but not its
// cancellation.
func newComponents(ctx context.Context) *components {
	return &components{base: context.WithoutCancel(ctx), ended: make(chan struct{}, 1)}
}

// start runs a component. run blocks until its context ends or the component
// fails. Not safe for concurrent use.
func (c *components) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(c.base)
	done := make(chan struct{})
	c.stops = append(c.stops, func() { cancel(); <-done })
	go func() {
		defer close(done)
		c.record(name, run(ctx))
		select {
		case c.ended <- struct{}{}:
		default:
		}
	}()
}

// record keeps the error of a component that returned, if it is the first one.
// It is called before others are stopped, so that their errors come later.
func (c *components) record(name string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first == nil {
		c.first = fmt.Errorf("%s: %w", name, err)
	}
}

// wait blocks until ctx ends or a component returns.
func (c *components) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-c.ended:
	}
}

// stop stops the components one after the other, the last started first. It
// returns the error of the component that failed first, or nil.
func (c *components) stop() error {
	for _, stop := range slices.Backward(c.stops) {
		stop()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// serve serves the listener until ctx ends. Then it waits at most
// [shutdownTimeout] for running requests, and closes their connections.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := server.Shutdown(timeout)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		return errors.Join(served, err)
	}
	return err
}

// pruner is the part of the store that prune needs.
type pruner interface {
	// Prune drops the days that are older than the retention, and the oldest
	// ones if the files are too large.
	Prune(ctx context.Context) error
}

// prune prunes the log at once and at each [pruneInterval], until ctx ends. An
// error only delays it: old history takes up space until the next attempt.
func prune(ctx context.Context, log pruner, logger *slog.Logger) error {
	ticker := time.NewTicker(pruneInterval)
	defer ticker.Stop()
	for {
		if err := log.Prune(ctx); err != nil && ctx.Err() == nil {
			logger.ErrorContext(ctx, "pruning failed, retrying", "delay", pruneInterval, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
