package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// stage is one running part. Its context is its own, not the process's, so that parts can be stopped one after the other.
type stage struct {
	stop context.CancelFunc
	done chan struct{}
}

// pipeline runs parts that depend on those started before them, and stops them in reverse.
type pipeline struct {
	base   context.Context //nolint:containedctx // what the parts' contexts derive from, without its cancellation
	stages []stage
	ended  chan struct{} // closed when the first part has ended

	mu    sync.Mutex // guards what follows
	first error      // what the first part that failed failed with
	once  bool       // ended is closed
}

// newPipeline takes the context's values, not its cancellation: the end of ctx is the reason to call stop, part by part.
func newPipeline(ctx context.Context) *pipeline {
	return &pipeline{base: context.WithoutCancel(ctx), ended: make(chan struct{})}
}

// start runs a part. run blocks until its context ends or the part fails.
func (p *pipeline) start(name string, run func(context.Context) error) {
	ctx, stop := context.WithCancel(p.base)
	s := stage{stop: stop, done: make(chan struct{})}
	p.stages = append(p.stages, s)
	go func() {
		defer close(s.done)
		p.note(name, run(ctx))
	}()
}

func (p *pipeline) note(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && !errors.Is(err, context.Canceled) && p.first == nil {
		p.first = fmt.Errorf("%s: %w", name, err)
	}
	if !p.once {
		p.once = true
		close(p.ended)
	}
}

// wait blocks until ctx ends or the first part does.
func (p *pipeline) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-p.ended:
	}
}

// stop ends all parts, the last started first, each before the next. It returns what the first part that failed failed
// with: what failed after that, failed because of it.
func (p *pipeline) stop() error {
	for _, s := range slices.Backward(p.stages) {
		s.stop()
		<-s.done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}
