package watcher

import (
	"context"
	"time"
)

// survey is how often discovery looks when nothing gives it a reason to: what is not watched may come to be served.
const survey = 10 * time.Minute

// discover finds the configured resources, and looks again while one is missing or when something has changed.
func (s *Set) discover(ctx context.Context) {
	pace := newBackoff(s.opts.RetryAfter)
	search := newSearch(s.log)
	var targets *Targets
	for ctx.Err() == nil {
		if now := s.targets.Load(); now != targets {
			targets = now
			search.aim(targets.Resources, s.board.watched())
			s.board.aim(targets)
			// What is not wanted any more does not wait for the API server's answer.
			if !send(ctx, s.configured, choice{targets, search.plans()}) {
				break
			}
		}
		served, err := s.server.Resources(ctx)
		if err != nil && ctx.Err() != nil {
			break
		}
		missing := search.among(ctx, served, err)
		found := choice{targets, search.plans()}
		s.board.discover(served, found.wanted(nil), missing)
		if !send(ctx, s.configured, found) {
			break
		}
		wait := survey
		if err != nil || len(missing) > 0 || s.board.refused() {
			wait = pace.next(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-s.again:
			pace.reset()
			sleep(ctx, pace.shortest) // what changes together is looked at together
		}
	}
}
