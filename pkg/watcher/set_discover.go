package watcher

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

// surveyEvery is how often discovery looks when nothing gives it a reason to: what is not watched may come to be served.
const surveyEvery = 10 * time.Minute

// surveyWithin bounds one look.
const surveyWithin = time.Minute

// discover finds the configured resources, and looks again while one is missing or when something has changed.
func (s *Set) discover(ctx context.Context) {
	pace := newBackoff(s.opts.RetryAfter)
	search := newSearch(s.log)
	found := choice{targets: &Targets{}}
	for ctx.Err() == nil {
		if now := s.targets.Load(); now != found.targets {
			found.targets = now
			search.aim(now.Resources, s.board.watched())
			found.plans = search.plans()
			s.board.aim(now)
			// What is not wanted any more does not wait for the API server's answer.
			if !send(ctx, s.configured, found) {
				break
			}
		}
		began := time.Now()
		served, err := s.survey(ctx)
		if err != nil && ctx.Err() != nil {
			break
		}
		missing := search.among(ctx, served.Watchable, err)
		served.Keep(found.served, err)
		found.plans, found.served, found.began = search.plans(), served, began
		s.board.discover(found, missing)
		if !send(ctx, s.configured, found) {
			break
		}
		s.reportForbidden(ctx)
		wait := surveyEvery
		if err != nil || len(missing) > 0 || s.board.refused() {
			wait = pace.next(err)
		}
		if s.rest(ctx, wait) {
			pace.reset()
			sleep(ctx, pace.shortest) // what changes together is looked at together
		}
	}
}

// reportForbidden logs, in one line, which resources are not recorded because
// the API server does not permit it, whenever that has changed. The watchers of
// resources that the configuration names have a line of their own.
func (s *Set) reportForbidden(ctx context.Context) {
	forbidden := s.board.forbidden()
	if slices.Equal(forbidden, s.forbidden) {
		return
	}
	s.forbidden = forbidden
	if len(forbidden) > 0 {
		s.log.WarnContext(ctx, "discovered resources not permitted, not recording them",
			"count", len(forbidden), "resources", strings.Join(forbidden, ","))
	}
}

// survey asks what the API server serves, within reason: one that is asked and
// never answers would keep everything else from being asked for.
func (s *Set) survey(ctx context.Context) (apiserver.Served, error) {
	bounded, cancel := context.WithTimeout(ctx, surveyWithin)
	defer cancel()
	served, err := s.server.Resources(bounded)
	switch {
	case ctx.Err() != nil:
		return served, err
	case len(served.Watchable) > 0:
		s.shared.over(unreachableCause)
	case errors.Is(err, context.DeadlineExceeded):
		err = errSilent
	}
	s.board.noteDiscovery(err)
	signal(s.news)
	return served, err
}

// rest waits until discovery is to look again, and reports whether that is
// because something changed.
func (s *Set) rest(ctx context.Context, wait time.Duration) bool {
	reached, leave := s.shared.of(unreachableCause)
	defer leave()
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return false
	case <-s.again:
	case <-reached:
	}
	return true
}
