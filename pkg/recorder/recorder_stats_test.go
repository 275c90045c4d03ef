package recorder_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// observations is a [recorder.Observer] that keeps what it receives.
type observations struct {
	mu     sync.Mutex
	values []float64
}

// Observe implements [recorder.Observer].
func (o *observations) Observe(seconds float64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.values = append(o.values, seconds)
}

func (o *observations) all() []float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.values)
}

func TestStats_LagOfVersions(t *testing.T) {
	clock := time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC)
	var lags, commits observations
	w := open(t, recorder.Options{Now: func() time.Time { return clock }, VersionLag: &lags, CommitDuration: &commits}, nil)
	s := w.stream(pods)
	if st := w.Stats().Resources[0]; st.Lists != 0 || !st.Checkpoint.IsZero() {
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
	if got, want := lags.all(), []float64{2, 0}; !slices.Equal(got, want) {
		t.Errorf("got lags %v, want %v", got, want)
	}
	if got := commits.all(); len(got) != int(stats.Batches) || slices.Min(got) <= 0 {
		t.Errorf("got commit durations %v, want %d of them above 0", got, stats.Batches)
	}
	if st := stats.Resources[0]; st.Lists != 2 {
		t.Errorf("got %d lists, want 2", st.Lists)
	}
	w.restart()
	w.stream(pods)
	if st := w.Stats().Resources[0]; !st.Checkpoint.Equal(clock) {
		t.Errorf("after a restart: got a checkpoint of %v, want %v", st.Checkpoint, clock)
	}
}
