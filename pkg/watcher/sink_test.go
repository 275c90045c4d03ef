package watcher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// fakeSink is a sink that records its calls as texts: "begin", "ADDED
// shop/a@7", "end 9", "abort", "bookmark 12".
type fakeSink struct {
	checkpoint string
	// fail is called before each call is recorded, unless it is nil. If it
	// returns an error, the call returns that error and is not recorded.
	fail func(ctx context.Context, call string) error

	mu       sync.Mutex
	recorded []string
	events   []history.WatchEvent
	rv       string

	causes          []gap.Cause // of the lists
	paused, resumed int
	alive           []time.Time
}

func (s *fakeSink) Checkpoint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rv != "" {
		return s.rv
	}
	return s.checkpoint
}

func (s *fakeSink) BeginList(ctx context.Context, cause gap.Cause) error {
	if err := s.record(ctx, "begin", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.causes = append(s.causes, cause)
	return nil
}

func (s *fakeSink) EndList(ctx context.Context, rv string) error {
	return s.record(ctx, "end "+rv, rv)
}

func (s *fakeSink) AbortList() { _ = s.record(context.Background(), "abort", "") }

// ListRequested is not recorded, because it precedes each list.
func (s *fakeSink) ListRequested() {}

// Alive records only the time, because it follows each watch.
func (s *fakeSink) Alive(_ context.Context, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = append(s.alive, at)
	return nil
}

// Pause is only counted, because it follows each watch.
func (s *fakeSink) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused++
}

// Resume is only counted, because it precedes each watch.
func (s *fakeSink) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed++
}

func (s *fakeSink) Bookmark(ctx context.Context, rv string) error {
	return s.record(ctx, "bookmark "+rv, rv)
}

// CaughtUp is not recorded, because its moment depends on the pauses of the
// server.
func (s *fakeSink) CaughtUp(ctx context.Context) error {
	if s.fail != nil {
		return s.fail(ctx, "caught up")
	}
	return nil
}

func (s *fakeSink) Observe(ctx context.Context, f history.WatchEvent) error {
	var o metav1.PartialObjectMetadata
	if err := json.Unmarshal(f.Object, &o); err != nil {
		return err
	}
	name := o.Name
	if o.Namespace != "" {
		name = o.Namespace + "/" + name
	}
	if err := s.record(ctx, fmt.Sprintf("%s %s@%s", f.Type, name, o.ResourceVersion), ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Object = bytes.Clone(f.Object)
	s.events = append(s.events, f)
	return nil
}

func (s *fakeSink) record(ctx context.Context, call, rv string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.fail != nil {
		if err := s.fail(ctx, call); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorded = append(s.recorded, call)
	if rv != "" {
		s.rv = rv
	}
	return nil
}

// calls returns the calls until now.
func (s *fakeSink) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.recorded)
}

// eventually waits until the condition holds. The test fails if it does not
// within a minute.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
