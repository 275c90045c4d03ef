package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// logContents is everything that a log returns.
type logContents struct {
	Records    []*history.Record
	Heads      map[history.ObjectRef]history.Head
	Checkpoint history.Checkpoint
	Gaps       []history.Gap
	Resources  []history.Resource
	Key        []byte
}

// everything reads all contents of the log.
func (s *subject) everything() logContents {
	s.t.Helper()
	resources, err := s.Resources(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return logContents{
		s.all(history.Scan{Bodies: true}), s.heads(pods()), s.checkpoint(pods()),
		s.everyGap(), resources, s.RedactionKey(),
	}
}

// unchanged checks that a log returns the same as before.
func (s *subject) unchanged(before logContents) {
	s.t.Helper()
	if d := cmp.Diff(before, s.everything()); d != "" {
		s.t.Errorf("contents (-want +got):\n%s", d)
	}
}

// readersSeePrefix reads while a writer appends. Each reader sees a prefix of
// the log without holes. Closing the log ends the readers with an error.
func readersSeePrefix(s *subject) {
	s.put(version("web", "0", history.Create))
	batches := 300
	if testing.Short() {
		batches = 100
	}
	s.concurrently(3, func(int) bool { return s.readOnce() }, func() {
		for i := range batches {
			s.put(version("web", fmt.Sprint(i), history.Update), version("web", fmt.Sprint(i), history.Update))
		}
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// readOnce reads the log. It returns false if the log is closed.
func (s *subject) readOnce() bool {
	n := uint64(0)
	for r, err := range s.Scan(s.t.Context(), history.Scan{Bodies: true}) {
		if history.CodeOf(err) == history.Unavailable {
			return false
		}
		if n++; err != nil || r.Revision != n {
			s.t.Errorf("record %d: got %v, error %v, want revision %d", n, r, err, n)
			return false
		}
		if _, err := s.Latest(s.t.Context(), r.Ref); err != nil && history.CodeOf(err) != history.Unavailable {
			s.t.Error(err)
		}
	}
	return true
}

// closeEndsScans closes the log during a scan. The scan ends with an error.
func closeEndsScans(s *subject) {
	s.put(version("web", "1", history.Create), version("web", "2", history.Update), version("web", "3", history.Update))
	var wg sync.WaitGroup
	n := 0
	for r, err := range s.Scan(s.t.Context(), history.Scan{}) {
		if n++; n == 2 {
			if history.CodeOf(err) != history.Unavailable {
				s.t.Errorf("second record: got %v, error %v, want an unavailable error", r, err)
			}
			break
		}
		wg.Go(func() {
			if err := s.Close(); err != nil {
				s.t.Error(err)
			}
		})
		for err = nil; err == nil; { // until Close has begun
			_, err = s.Latest(s.t.Context(), r.Ref)
		}
	}
	wg.Wait()
	if n != 2 {
		s.t.Errorf("got %d iterations, want 2", n)
	}
}

// closedLogIsUnavailable closes a log twice, and calls all methods.
func closedLogIsUnavailable(s *subject) {
	r := version("web", "1", history.Create)
	s.put(r)
	for range 2 {
		if err := s.Close(); err != nil {
			s.t.Error(err)
		}
	}
	for what, err := range s.errors(s.t.Context(), r) {
		if history.CodeOf(err) != history.Unavailable {
			s.t.Errorf("%s: got error %v, want an unavailable one", what, err)
		}
	}
	s.reopen()
	s.same("opened again", read(true, r), s.all(history.Scan{Bodies: true}))
}

// errors calls all methods of the log, and returns their errors.
func (s *subject) errors(ctx context.Context, of *history.Record) map[string]error {
	errs := map[string]error{"scan": nil, "heads": nil} // they may end without an error
	for _, err := range s.Scan(ctx, history.Scan{}) {
		errs["scan"] = err
	}
	for _, err := range s.Heads(ctx, pods()) {
		errs["heads"] = err
	}
	_, _, errs["count"] = s.Count(ctx, history.Filter{}, 10)
	_, _, errs["objects"] = s.Objects(ctx, history.Scan{}, 10)
	_, errs["may match"] = s.MayMatch(ctx, []history.Filter{{Owner: "u"}})
	_, errs["latest"] = s.Latest(ctx, of.Ref)
	_, errs["checkpoint"] = s.Checkpoint(ctx, pods())
	_, errs["gaps"] = s.Gaps(ctx, nil, time.Time{}, time.Time{})
	_, errs["resources"] = s.Resources(ctx)
	errs["register"] = s.Register(ctx, history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"})
	errs["append"] = s.Append(ctx, &history.Batch{Versions: newVersions(of)})
	errs["prune"] = s.Prune(ctx)
	return errs
}

// contextEndsWork ends a context during a scan and before other calls. The scan
// ends with the context's error, and nothing is appended.
func contextEndsWork(s *subject) {
	first, second := version("web", "1", history.Create), version("web", "2", history.Update)
	s.put(first, second)
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	n := 0
	for _, err := range s.Scan(ctx, history.Scan{}) {
		if n++; n == 1 {
			cancel()
		} else if !errors.Is(err, context.Canceled) {
			s.t.Errorf("second record: got error %v, want context.Canceled", err)
		}
	}
	if n != 2 {
		s.t.Errorf("got %d iterations, want 2", n)
	}
	errs := s.errors(ctx, version("web", "3", history.Update))
	for _, what := range []string{"scan", "count", "heads", "latest", "append"} {
		if !errors.Is(errs[what], context.Canceled) {
			s.t.Errorf("%s: got error %v, want context.Canceled", what, errs[what])
		}
	}
	s.same("afterwards", read(false, first, second), s.all(history.Scan{}))
}
