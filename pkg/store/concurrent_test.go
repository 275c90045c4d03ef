package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestCancelled(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create), pod("web", "2", history.Update))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range s.Scan(ctx, history.Scan{}) {
		if n++; n == 1 {
			cancel()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("second: %v", err)
		}
	}
	if n != 2 {
		t.Errorf("yielded %d times, want 2", n)
	}
	if err := s.Append(ctx, &history.Batch{Records: []*history.Record{pod("web", "3", history.Update)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if n := len(all(t, s, history.Scan{})); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// TestReadersBesideCommits reads while a committer writes: what a reader sees is a beginning of the log, never with a
// hole, and a log that is closed meanwhile ends the readers with an error.
func TestReadersBesideCommits(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "0", history.Create))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				n := uint64(0)
				for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
					if history.CodeOf(err) == history.Unavailable {
						return
					}
					if n++; err != nil || r.Revision != n {
						t.Errorf("revision %v at place %d: %v", r, n, err)
						return
					}
					if _, err := s.Latest(t.Context(), r.Ref); err != nil && history.CodeOf(err) != history.Unavailable {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 300 {
		appendTo(t, s, pod("web", fmt.Sprint(i), history.Update), pod("web", fmt.Sprint(i), history.Update))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// TestFailed checks that a log that could not commit takes nothing more until it is opened again, and is read meanwhile.
func TestFailed(t *testing.T) {
	dir, c := t.TempDir(), &clock{time.Now()}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	appendTo(t, s, pod("web", "1", history.Create))
	before := c.t
	c.t = time.Date(2150, 1, 1, 0, 0, 0, 0, time.UTC) // beyond what keys can carry
	lost := pod("web", "2", history.Update)
	if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{lost}}); err == nil || !lost.Time.IsZero() {
		t.Fatalf("appended at %v: %v", lost.Time, err)
	}
	c.t = before
	if err := s.Append(t.Context(), &history.Batch{Records: []*history.Record{lost}}); history.CodeOf(err) != history.Internal {
		t.Errorf("append behind a failure: %v", err)
	}
	if n := len(all(t, s, history.Scan{})); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
	s = reopen(t, s, dir, opts)
	appendTo(t, s, lost)
	if lost.Revision != 2 {
		t.Errorf("revision %d, want 2", lost.Revision)
	}
}

// TestCloseEndsScans closes the log in the middle of a scan: the scan ends with an error, not as if that were all.
func TestCloseEndsScans(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, pod("web", "1", history.Create), pod("web", "2", history.Update), pod("web", "3", history.Update))
	var wg sync.WaitGroup
	n := 0
	for r, err := range s.Scan(t.Context(), history.Scan{}) {
		if n++; n == 2 {
			if history.CodeOf(err) != history.Unavailable {
				t.Errorf("second: %v, %v", r, err)
			}
			continue
		}
		wg.Go(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		for err = nil; err == nil; { // until Close waits for this scan
			_, err = s.Latest(t.Context(), r.Ref)
		}
	}
	wg.Wait()
	if n != 2 {
		t.Errorf("yielded %d times, want 2", n)
	}
}
