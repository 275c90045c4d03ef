package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// contents is all that a log answers.
type contents struct {
	Records    []*history.Record
	Heads      map[history.ObjectRef]history.Head
	Checkpoint history.Checkpoint
	Gaps       []history.Gap
	Resources  []history.Resource
	Key        []byte
}

func (s *subject) everything() (c contents) {
	s.t.Helper()
	resources, err := s.Resources(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return contents{
		s.all(history.Scan{Bodies: true}), s.heads(pods()), s.checkpoint(pods()), s.everyGap(), resources, s.RedactionKey(),
	}
}

// unchanged checks that a log answers what it did before.
func (s *subject) unchanged(before contents) {
	s.t.Helper()
	if d := cmp.Diff(before, s.everything()); d != "" {
		s.t.Error(d)
	}
}

// readersSeeABeginning reads while a writer appends: what a reader sees is a beginning of the log, without a hole, and the log
// that is closed meanwhile ends the readers with an error.
func readersSeeABeginning(s *subject) {
	s.put(version("web", "0", history.Create))
	s.beside(3, func(int) bool { return s.readOnce() }, func() {
		for i := range 300 {
			s.put(version("web", fmt.Sprint(i), history.Update), version("web", fmt.Sprint(i), history.Update))
		}
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// readOnce reads the log, and is false when that was the last time.
func (s *subject) readOnce() bool {
	n := uint64(0)
	for r, err := range s.Scan(s.t.Context(), history.Scan{Bodies: true}) {
		if history.CodeOf(err) == history.Unavailable {
			return false
		}
		if n++; err != nil || r.Revision != n {
			s.t.Errorf("revision %v at place %d: %v", r, n, err)
			return false
		}
		if _, err := s.Latest(s.t.Context(), r.Ref); err != nil && history.CodeOf(err) != history.Unavailable {
			s.t.Error(err)
		}
	}
	return true
}

// closingEndsScans closes the log in the middle of a scan: the scan ends with an error, not as if that were all.
func closingEndsScans(s *subject) {
	s.put(version("web", "1", history.Create), version("web", "2", history.Update), version("web", "3", history.Update))
	var wg sync.WaitGroup
	n := 0
	for r, err := range s.Scan(s.t.Context(), history.Scan{}) {
		if n++; n == 2 {
			if history.CodeOf(err) != history.Unavailable {
				s.t.Errorf("second: %v, %v", r, err)
			}
			break
		}
		wg.Go(func() {
			if err := s.Close(); err != nil {
				s.t.Error(err)
			}
		})
		for err = nil; err == nil; { // until Close waits for this scan
			_, err = s.Latest(s.t.Context(), r.Ref)
		}
	}
	wg.Wait()
	if n != 2 {
		s.t.Errorf("yielded %d times, want 2", n)
	}
}

// closedLogsAreUnavailable closes a log, twice, and asks it for everything.
func closedLogsAreUnavailable(s *subject) {
	r := version("web", "1", history.Create)
	s.put(r)
	for range 2 {
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
	}
	for what, err := range s.errors(s.t.Context(), r) {
		if history.CodeOf(err) != history.Unavailable {
			s.t.Errorf("%s: %v", what, err)
		}
	}
	s.reopen()
	s.same("opened again", read(true, r), s.all(history.Scan{Bodies: true}))
}

// errors asks the log for all that it can do, and returns the errors.
func (s *subject) errors(ctx context.Context, of *history.Record) map[string]error {
	errs := map[string]error{"scan": nil, "heads": nil} // which may end without a word
	for _, err := range s.Scan(ctx, history.Scan{}) {
		errs["scan"] = err
	}
	for _, err := range s.Heads(ctx, pods()) {
		errs["heads"] = err
	}
	_, _, errs["count"] = s.Count(ctx, history.Filter{}, 10)
	_, errs["latest"] = s.Latest(ctx, of.Ref)
	_, errs["checkpoint"] = s.Checkpoint(ctx, pods())
	_, errs["gaps"] = s.Gaps(ctx, nil, time.Time{}, time.Time{})
	_, errs["resources"] = s.Resources(ctx)
	errs["register"] = s.Register(ctx, history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"})
	errs["append"] = s.Append(ctx, &history.Batch{Records: []*history.Record{of}})
	errs["prune"] = s.Prune(ctx)
	return errs
}

// contextsEndWork ends a context in the middle of a scan and before other work: the scan ends with the context's error, and nothing
// is appended.
func contextsEndWork(s *subject) {
	first, second := version("web", "1", history.Create), version("web", "2", history.Update)
	s.put(first, second)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	n := 0
	for _, err := range s.Scan(ctx, history.Scan{}) {
		if n++; n == 1 {
			cancel()
		} else if !errors.Is(err, context.Canceled) {
			s.t.Errorf("second: %v", err)
		}
	}
	if n != 2 {
		s.t.Errorf("yielded %d times, want 2", n)
	}
	errs := s.errors(ctx, version("web", "3", history.Update))
	for _, what := range []string{"scan", "count", "heads", "latest", "append"} {
		if !errors.Is(errs[what], context.Canceled) {
			s.t.Errorf("%s: %v", what, errs[what])
		}
	}
	s.same("afterwards", read(false, first, second), s.all(history.Scan{}))
}
