package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

var errDisk = errors.New("the disk is gone")

// failing is a log whose next appends fail, without having committed anything, or wait.
type failing struct {
	recorder.Log

	mu      sync.Mutex
	after   int // appends that succeed before those that fail
	fails   int
	with    error // what they fail with; nil for errDisk
	appends int
	largest int           // records in the largest batch
	gate    chan struct{} // appends wait until it is closed; nil for none
}

func (f *failing) Append(ctx context.Context, b *history.Batch) error {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.appends++
	f.largest = max(f.largest, len(b.Records))
	if f.after > 0 {
		f.after--
	} else if f.fails > 0 {
		f.fails--
		if f.with != nil {
			return f.with
		}
		return errDisk
	}
	return f.Log.Append(ctx, b)
}

func (f *failing) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func failOn(t *testing.T, opts recorder.Options) (*world, *failing) {
	t.Helper()
	log := &failing{}
	opts.RetryDelay = time.Millisecond
	w := open(t, opts, func(l recorder.Log) recorder.Log {
		log.Log = l
		return log
	})
	return w, log
}

func TestFailedCommitIsTriedAgain(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 3})
	log.set(func() { log.fails = 3 })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3", "~a/u1@4")
	eventually(t, "three retries", func() bool { return w.Stats().Retries == 3 })
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial", "update a/u1@4")
}

// TestALogThatCannotNowIsWaitedFor checks that what is no failure is waited for, however long it takes, and is told meanwhile.
func TestALogThatCannotNowIsWaitedFor(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 2})
	full := history.Errorf(history.Unavailable, "the volume is full")
	log.set(func() { log.fails, log.with = 1000, fmt.Errorf("append: %w", full) })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3", "~a/u1@4")
	eventually(t, "more retries than a failure gets", func() bool { return w.Stats().Retries > 5 })
	if err := w.Stats().Refused; !errors.Is(err, full) {
		t.Errorf("refused for %v", err)
	}
	log.set(func() { log.fails = 0 })
	eventually(t, "all is committed", func() bool { return w.Stats().Refused == nil && w.Stats().QueueRecords == 0 })
	expect(t, w.records(pods), "create a/u1@1 initial", "update a/u1@4")
}

func TestACommitWithoutAnEndEndsEverything(t *testing.T) {
	w, log := failOn(t, recorder.Options{CommitWithin: time.Millisecond})
	log.set(func() { log.gate = make(chan struct{}) })
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	var err error
	for i := 3; err == nil; i++ {
		err = w.tell(s, fmt.Sprintf("~a/u1@%d", i))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the stream got %v", err)
	}
	if err := w.stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run returned %v", err)
	}
	w.stop = func() error { return nil }
}

func TestCommitThatKeepsFailingEndsEverything(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 2, QueueRecords: 4, BatchRecords: 2})
	s, other := w.stream(pods), w.stream(nodes)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	eventually(t, "a commit", func() bool { return w.Stats().Batches > 0 && w.Stats().QueueRecords == 0 })
	log.set(func() { log.fails = 1000 })
	var err error
	for i := 0; err == nil; i++ { // until the queue is full, and blocks, and the recorder ends
		err = w.tell(s, fmt.Sprintf("+b%d/v%d@%d", i, i, i+10))
	}
	if !errors.Is(err, errDisk) {
		t.Errorf("the blocked stream got %v", err)
	}
	if err := w.tell(other, "sync"); !errors.Is(err, errDisk) {
		t.Errorf("another stream got %v", err)
	}
	if err := w.stop(); !errors.Is(err, errDisk) {
		t.Errorf("Run returned %v", err)
	}
	if log.appends != 1+3 && log.appends != 2+3 {
		t.Errorf("%d appends, want one that fails and two retries", log.appends)
	}
	log.set(func() { log.fails = 0 })
	w.stop = func() error { return nil }
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "2" {
		t.Errorf("checkpoint %q runs ahead of the records", got)
	}
}

func TestQueueBlocksAndLosesNothing(t *testing.T) {
	for name, opts := range map[string]recorder.Options{
		"by records": {QueueRecords: 10, BatchRecords: 5},
		"by bytes":   {QueueBytes: 6000, BatchBytes: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			w, log := failOn(t, opts)
			s := w.stream(pods)
			w.feed(s, "sync", "end 1")
			eventually(t, "a commit", func() bool { return w.Stats().Batches > 0 })
			gate := make(chan struct{})
			log.set(func() { log.gate = gate })
			var want []string
			accepted := 0
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			for err := error(nil); err == nil; {
				err = s.Observe(ctx, frame("+", pod(fmt.Sprint("p", accepted), fmt.Sprint("u", accepted), fmt.Sprint(accepted+10))))
				if err == nil {
					want = append(want, fmt.Sprintf("create p%d/u%d@%d", accepted, accepted, accepted+10))
					accepted++
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the blocked stream got %v", err)
				}
			}
			if accepted < 5 || accepted > 30 {
				t.Errorf("%d frames were accepted", accepted)
			}
			close(gate)
			expect(t, w.records(pods), want...)
			if log.largest > 10 {
				t.Errorf("a batch had %d records", log.largest)
			}
		})
	}
}

func TestStoppingCommitsWhatWasAccepted(t *testing.T) {
	w, log := failOn(t, recorder.Options{QueueRecords: 100, BatchRecords: 7})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	eventually(t, "a commit", func() bool { return w.Stats().Batches > 0 })
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	var want []string
	for i := range 50 {
		w.feed(s, fmt.Sprintf("+p%d/u%d@%d", i, i, i+10))
		want = append(want, fmt.Sprintf("create p%d/u%d@%d", i, i, i+10))
	}
	stopped := make(chan error)
	stop := w.stop
	go func() { stopped <- stop() }()
	refused := 50
	eventually(t, "a refused frame", func() bool {
		step := fmt.Sprintf("+p%d/u%d@%d", refused, refused, refused+10)
		err := w.tell(s, step)
		if err == nil {
			want = append(want, "create "+step[1:])
			refused++
			return false
		}
		return errors.Is(err, recorder.ErrStopped)
	})
	close(gate)
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
	w.stop = func() error { return nil }
	expect(t, w.records(pods), want...)
	if got := w.stream(pods).Checkpoint(); got != fmt.Sprint(refused+9) {
		t.Errorf("checkpoint %q, want that of the last frame that was accepted", got)
	}
}

func TestStoppingEndsInTime(t *testing.T) {
	w, log := failOn(t, recorder.Options{StopWithin: 20 * time.Millisecond, Retries: 1 << 30})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	log.set(func() { log.fails = 1 << 30 })
	w.feed(s, "+a/u1@2")
	if err := w.stop(); !errors.Is(err, errDisk) {
		t.Errorf("Run returned %v, want the error that kept it from committing", err)
	}
	w.stop = func() error { return nil }
}

func TestStreamsShareBatches(t *testing.T) {
	w, log := failOn(t, recorder.Options{BatchRecords: 64})
	var all sync.WaitGroup
	for i, resource := range []history.Resource{pods, nodes, events} {
		s := w.stream(resource)
		all.Go(func() {
			steps := []string{"sync", "end 1"}
			for n := range 200 {
				steps = append(steps, fmt.Sprintf("+p%d/r%du%d@%d", n, i, n, n+10))
			}
			for _, step := range steps {
				if err := w.tell(s, step); err != nil {
					t.Errorf("%s: %v", step, err)
				}
			}
		})
	}
	all.Wait()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	stats := w.Stats()
	for _, r := range stats.Resources {
		if r.Created != 200 || r.Alive != 200 || r.Updated+r.Deleted+r.Known != 0 {
			t.Errorf("counted %+v", r)
		}
	}
	if log.appends > 150 || log.largest > 64 || len(stats.Resources) != 3 || stats.LastCommit.IsZero() {
		t.Errorf("%d appends, the largest of %d records; %+v", log.appends, log.largest, stats)
	}
	w.stop = func() error { return nil }
	for _, resource := range []history.Resource{pods, nodes, events} {
		records := w.records(resource)
		if len(records) != 200 {
			t.Errorf("%d records of %s", len(records), resource.Plural)
		}
		for n, r := range records {
			if r.RV != fmt.Sprint(n+10) {
				t.Fatalf("record %d of %s has version %s", n, resource.Plural, r.RV)
			}
		}
	}
}

// A watcher that is stopped while the queue is full leaves a stream behind that took a version for recorded.
func TestAStreamThatWasCutOffGoesOnFromTheLog(t *testing.T) {
	w, log := failOn(t, recorder.Options{QueueRecords: 4, BatchRecords: 2})
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	eventually(t, "a commit", func() bool { return w.checkpoint(pods).RV == "2" })
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	want := []string{"create a/u1@1 initial"}
	rv := 3
	step := func() string { return fmt.Sprintf("~a/u1@%d", rv) }
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for ; s.Observe(ctx, frame("~", pod("a", "u1", fmt.Sprint(rv)))) == nil; rv++ {
		want = append(want, "update "+step()[1:])
	}
	time.AfterFunc(20*time.Millisecond, func() { close(gate) })
	s = w.stream(pods)
	if got := s.Checkpoint(); got != fmt.Sprint(rv-1) {
		t.Errorf("it goes on from %q, and the last version that was accepted is %d", got, rv-1)
	}
	w.feed(s, step())
	records := w.records(pods)
	expect(t, records, append(want, "update "+step()[1:])...)
	if words := records[len(records)-1].Summary; words == nil || !strings.Contains(words.Text, "nodeName") {
		t.Errorf("the version that was refused at first is compared with itself: %+v", words)
	}
}

// A sync that is cut off between its gap and its beginning must not be resumed behind the gap.
func TestASyncThatWasCutOffIsBegunAnew(t *testing.T) {
	w, log := failOn(t, recorder.Options{})
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	eventually(t, "a commit", func() bool { return w.checkpoint(pods).RV == "2" })
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.BeginList(ctx, gap.Cause{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(gate) })
	s = w.stream(pods)
	if got := s.Checkpoint(); got != "" {
		t.Errorf("it goes on from %q, which the log does not hold any more", got)
	}
	w.feed(s, "sync", "+a/u1@1", "end 9")
	w.restart()
	w.one(pods, history.GapExpired, false)
}
