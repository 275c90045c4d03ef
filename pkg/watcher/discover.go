package watcher

import (
	"context"
	"time"
)

// discover finds the configured resources, and looks again while one is missing or when something has changed.
func (s *Set) discover(ctx context.Context) error {
	pace := newBackoff(s.opts.RetryAfter)
	search := newSearch(s.opts.Resources, s.log)
	for {
		served, err := s.server.Resources(ctx)
		if ctx.Err() != nil {
			return nil
		}
		missing := search.among(ctx, served, err)
		s.board.discover(len(served) > 0, search.found, missing)
		if send(ctx, s.configured, search.plans()) != nil {
			return nil
		}
		var soon <-chan time.Time
		if err != nil || len(missing) > 0 || s.board.refused() {
			soon = time.After(pace.next(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-soon:
		case <-s.again:
			pace.reset()
			if !sleep(ctx, pace.shortest) { // what changes together is looked at together
				return nil
			}
		}
	}
}
