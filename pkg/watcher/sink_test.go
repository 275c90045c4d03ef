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

// fakeSink is a sink that writes down what it is calls: "begin", "ADDED shop/a@7", "end 9", "abort", "bookmark 12".
type fakeSink struct {
	checkpoint string
	// fail, where it is set, is asked before each call is written down.
	fail func(ctx context.Context, call string) error

	mu       sync.Mutex
	recorded []string
	frames   []history.WatchEvent
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
	if err := s.write(ctx, "begin", ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.causes = append(s.causes, cause)
	return nil
}

func (s *fakeSink) EndList(ctx context.Context, rv string) error { return s.write(ctx, "end "+rv, rv) }
func (s *fakeSink) AbortList()                                   { _ = s.write(context.Background(), "abort", "") }

// Ask is not written down: it comes with each sync.
func (s *fakeSink) ListRequested() {}

// Alive is kept, and not written down: it comes with each end of a watch.
func (s *fakeSink) Alive(_ context.Context, at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive = append(s.alive, at)
	return nil
}

// Pause is counted, and not written down: it comes with the end of each watch.
func (s *fakeSink) Pause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused++
}

// Resume is counted, and not written down: it comes with each watch.
func (s *fakeSink) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resumed++
}

func (s *fakeSink) Bookmark(ctx context.Context, rv string) error {
	return s.write(ctx, "bookmark "+rv, rv)
}

// Settle asks whether it is refused, and writes nothing down: when it is called depends on when the server pauses.
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
	if err := s.write(ctx, fmt.Sprintf("%s %s@%s", f.Type, name, o.ResourceVersion), ""); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Object = bytes.Clone(f.Object)
	s.frames = append(s.frames, f)
	return nil
}

func (s *fakeSink) write(ctx context.Context, call, rv string) error {
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

// calls returns what the sink was calls so far.
func (s *fakeSink) calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.recorded)
}

// eventually waits until the condition holds; the test fails where it doesn't within a minute.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}
