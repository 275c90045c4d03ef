package watcher

import (
	"context"
	"time"
)

// discover finds the configured resources, and looks again while one is missing or when something has changed.
func (s *Set) discover(ctx context.Context) {
	pace := newBackoff(s.opts.RetryAfter)
	search := newSearch(s.opts.Resources, s.log)
	for ctx.Err() == nil {
		served, err := s.server.Resources(ctx)
		if err != nil && ctx.Err() != nil {
			break
		}
		missing := search.among(ctx, served, err)
		s.board.discover(len(served) > 0, search.found, missing)
		if !send(ctx, s.configured, search.plans()) {
			break
		}
		var soon <-chan time.Time
		if err != nil || len(missing) > 0 || s.board.refused() {
			soon = time.After(pace.next(err))
		}
		select {
		case <-ctx.Done():
		case <-soon:
		case <-s.again:
			pace.reset()
			sleep(ctx, pace.shortest) // what changes together is looked at together
		}
	}
}
