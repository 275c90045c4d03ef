package recorder_test

import (
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

func TestStats_LagOfVersions(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC)
	w := open(t, recorder.Options{Now: func() time.Time { return clock }}, nil)
	s := w.stream(pods)
	if st := w.Stats().Resources[0]; st.Syncs != 0 || !st.Checkpoint.IsZero() {
		t.Errorf("before the first sync: got %+v, want no sync and no checkpoint", st)
	}
	w.feed(s, "sync")
	w.observe(s, "+", strings.ReplaceAll(managed("1", "old 01 x"), "u1", "u0")) // initial
	w.feed(s, "end 1")
	w.observe(s, "~", strings.ReplaceAll(managed("2", "old 01 x", "a 05 y"), "u1", "u0")) // 2 s
	w.observe(s, "~", strings.ReplaceAll(managed("3", "a 09 y"), "u1", "u0"))             // from a clock that is fast
	w.feed(s, "+b/u2@4")                                                                  // without a manager
	w.feed(s, "sync", "end 9")
	eventually(t, "an empty queue and the last checkpoint", func() bool { return w.Stats().Resources[0].Checkpoint.Equal(clock) && w.Stats().QueueRecords == 0 })
	stats := w.Stats()
	if lag := stats.Lag; lag.Count != 2 || lag.Sum != 2*time.Second || lag.AtMost[0.001] != 1 || lag.AtMost[1] != 1 || lag.AtMost[2.5] != 2 || lag.AtMost[300] != 2 {
		t.Errorf("got lag %+v, want one of 0 s and one of 2 s", lag)
	}
	if stats.Commits.Count != stats.Batches || stats.Commits.Sum <= 0 {
		t.Errorf("got durations %+v, want those of %d commits", stats.Commits, stats.Batches)
	}
	if st := stats.Resources[0]; st.Syncs != 2 {
		t.Errorf("got %d syncs, want 2", st.Syncs)
	}
	w.restart()
	w.stream(pods)
	if st := w.Stats().Resources[0]; !st.Checkpoint.Equal(clock) {
		t.Errorf("after a restart: got a checkpoint of %v, want %v", st.Checkpoint, clock)
	}
}
