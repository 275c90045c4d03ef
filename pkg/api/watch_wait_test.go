package api

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStream_HeartbeatsDoNotShowCommits waits for a heartbeat while others
// commit, at different times before it. A caller who can't see their records
// must not find out from the time of the heartbeat that there are any.
func TestStream_HeartbeatsDoNotShowCommits(t *testing.T) {
	const heartbeat = 10 * time.Second
	for _, commit := range []time.Duration{
		time.Second, heartbeat - batchPause, heartbeat - batchPause/2, heartbeat - 1, heartbeat,
	} {
		synctest.Test(t, func(t *testing.T) {
			committed := make(chan struct{})
			time.AfterFunc(commit, func() { close(committed) })
			s := &stream{h: &handler{}, changed: committed}
			begun := time.Now()
			for until := begun.Add(heartbeat); time.Now().Before(until); s.changed = nil {
				if why := s.wait(t.Context(), time.Now(), until); why != changed {
					t.Fatalf("got event %d, want %d", why, changed)
				}
			}
			if got := time.Since(begun); got != heartbeat {
				t.Errorf("commit after %s: got a heartbeat after %s, want %s", commit, got, heartbeat)
			}
		})
	}
}
