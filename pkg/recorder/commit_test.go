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

// failing is a log whose next appends block, or fail without committing
// anything.
type failing struct {
	recorder.Log

	mu      sync.Mutex
	after   int   // appends that succeed before those that fail
	fails   int   // appends that fail
	with    error // their error; errDisk if nil
	appends int
	largest int           // records of the largest batch
	gate    chan struct{} // appends block until it is closed; nil for none

	registerFails bool
}

func (f *failing) Register(ctx context.Context, r history.Resource) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.registerFails {
		return history.Errorf(history.Unavailable, "the volume is full")
	}
	return f.Log.Register(ctx, r)
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
	f.largest = max(f.largest, len(b.Versions))
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

// failOn opens a recorder on a failing log.
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

func TestRun_RetriesFailedCommit(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 3})
	log.set(func() { log.fails = 3 })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3", "~a/u1@4")
	eventually(t, "three retries", func() bool { return w.scrape()["commit_retries_total"] == 3 })
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial", "update a/u1@4")
}

// A registration that succeeds, or that its caller gives up, says nothing about
// a commit that is being retried.
func TestRetryError_IsOfEachWrite(t *testing.T) {
	w, log := failOn(t, recorder.Options{})
	full := history.Errorf(history.Unavailable, "the volume is full")
	log.set(func() { log.fails, log.with = 1000, full })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3")
	eventually(t, "a retry", func() bool { return w.scrape()["commit_retries_total"] > 1 })
	w.stream(nodes) // registers it
	if err := w.RetryError(); !errors.Is(err, full) {
		t.Errorf("after a registration: got RetryError %v, want %v", err, full)
	}
	log.set(func() { log.fails = 0 })
	eventually(t, "no error", func() bool { return w.RetryError() == nil })
	log.set(func() { log.registerFails = true })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := w.Stream(ctx, history.Resource{Version: "v1", Plural: "services", Kind: "Service"})
		done <- err
	}()
	eventually(t, "a failing registration", func() bool { return w.RetryError() != nil })
	cancel()
	if err := <-done; err == nil {
		t.Error("canceled registration: got no error, want one")
	}
	if err := w.RetryError(); err != nil {
		t.Errorf("after a canceled registration: got RetryError %v, want none", err)
	}
}

// TestRun_RetriesUnavailableWithoutLimit checks that an Unavailable error is
// retried more often than a failure, and is reported meanwhile.
func TestRun_RetriesUnavailableWithoutLimit(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 2})
	full := history.Errorf(history.Unavailable, "the volume is full")
	log.set(func() { log.fails, log.with = 1000, fmt.Errorf("append: %w", full) })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3", "~a/u1@4")
	eventually(t, "more retries than after a failure", func() bool { return w.scrape()["commit_retries_total"] > 5 })
	if err := w.RetryError(); !errors.Is(err, full) {
		t.Errorf("RetryError: got %v, want %v", err, full)
	}
	if got := w.scrape()["commits_refused"]; got != 1 {
		t.Errorf("commits_refused: got %v, want 1", got)
	}
	log.set(func() { log.fails = 0 })
	eventually(t, "an empty queue", func() bool {
		got := w.scrape()
		return got["commits_refused"] == 0 && got["queue_records"] == 0
	})
	expect(t, w.records(pods), "create a/u1@1 initial", "update a/u1@4")
}

func TestRun_StopsIfCommitHangs(t *testing.T) {
	w, log := failOn(t, recorder.Options{CommitWithin: time.Millisecond})
	log.set(func() { log.gate = make(chan struct{}) })
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	var err error
	for i := 3; err == nil; i++ {
		err = w.tell(s, fmt.Sprintf("~a/u1@%d", i))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stream: got %v, want %v", err, context.DeadlineExceeded)
	}
	if err := w.stop(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: got %v, want %v", err, context.DeadlineExceeded)
	}
	w.stop = func() error { return nil }
}

func TestRun_StopsIfCommitKeepsFailing(t *testing.T) {
	w, log := failOn(t, recorder.Options{Retries: 2, QueueRecords: 4, BatchRecords: 2})
	s, other := w.stream(pods), w.stream(nodes)
	w.feed(s, "sync", "+a/u1@1", "end 2")
	eventually(t, "a commit", func() bool {
		got := w.scrape()
		return got["commits_total"] > 0 && got["queue_records"] == 0
	})
	log.set(func() { log.fails = 1000 })
	var err error
	for i := 0; err == nil; i++ { // until the queue is full and blocks, and the recorder stops
		err = w.tell(s, fmt.Sprintf("+b%d/v%d@%d", i, i, i+10))
	}
	if !errors.Is(err, errDisk) {
		t.Errorf("blocked stream: got %v, want %v", err, errDisk)
	}
	if err := w.tell(other, "sync"); !errors.Is(err, errDisk) {
		t.Errorf("other stream: got %v, want %v", err, errDisk)
	}
	if err := w.stop(); !errors.Is(err, errDisk) {
		t.Errorf("Run: got %v, want %v", err, errDisk)
	}
	if log.appends != 1+3 && log.appends != 2+3 {
		t.Errorf("got %d appends, want 4 or 5: one or two, then one that fails and two retries", log.appends)
	}
	log.set(func() { log.fails = 0 })
	w.stop = func() error { return nil }
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "2" {
		t.Errorf("got checkpoint %q, want 2: no later record is committed", got)
	}
}

func TestQueue_BlocksWhileFull(t *testing.T) {
	for name, opts := range map[string]recorder.Options{
		"by records": {QueueRecords: 10, BatchRecords: 5},
		"by bytes":   {QueueBytes: 6000, BatchBytes: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			w, log := failOn(t, opts)
			s := w.stream(pods)
			w.feed(s, "sync", "end 1")
			eventually(t, "a commit", func() bool { return w.scrape()["commits_total"] > 0 })
			gate := make(chan struct{})
			log.set(func() { log.gate = gate })
			var want []string
			accepted := 0
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			for err := error(nil); err == nil; {
				err = s.Observe(ctx,
					watchEvent("+", pod(fmt.Sprint("p", accepted), fmt.Sprint("u", accepted), fmt.Sprint(accepted+10))))
				if err == nil {
					want = append(want, fmt.Sprintf("create p%d/u%d@%d", accepted, accepted, accepted+10))
					accepted++
				} else if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("blocked stream: got %v, want %v", err, context.DeadlineExceeded)
				}
			}
			if accepted < 5 || accepted > 30 {
				t.Errorf("got %d accepted watch events, want between 5 and 30", accepted)
			}
			close(gate)
			expect(t, w.records(pods), want...)
			if log.largest > 10 {
				t.Errorf("got a batch of %d records, want at most 10", log.largest)
			}
		})
	}
}

func TestRun_CommitsAcceptedRecordsOnStop(t *testing.T) {
	w, log := failOn(t, recorder.Options{QueueRecords: 100, BatchRecords: 7})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	eventually(t, "a commit", func() bool { return w.scrape()["commits_total"] > 0 })
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
	next := 50
	eventually(t, "a rejected watch event", func() bool {
		step := fmt.Sprintf("+p%d/u%d@%d", next, next, next+10)
		err := w.tell(s, step)
		if err == nil {
			want = append(want, "create "+step[1:])
			next++
			return false
		}
		return errors.Is(err, recorder.ErrStopped)
	})
	close(gate)
	if err := <-stopped; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	w.stop = func() error { return nil }
	expect(t, w.records(pods), want...)
	if got := w.stream(pods).Checkpoint(); got != fmt.Sprint(next+9) {
		t.Errorf("got checkpoint %q, want %d of the last accepted watch event", got, next+9)
	}
}

func TestRun_StopsWithinTimeout(t *testing.T) {
	w, log := failOn(t, recorder.Options{StopWithin: 20 * time.Millisecond, Retries: 1 << 30})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	log.set(func() { log.fails = 1 << 30 })
	w.feed(s, "+a/u1@2")
	if err := w.stop(); !errors.Is(err, errDisk) {
		t.Errorf("Run: got %v, want %v", err, errDisk)
	}
	w.stop = func() error { return nil }
}

func TestRun_BatchesRecordsOfAllStreams(t *testing.T) {
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
	got := w.scrape()
	for _, resource := range []string{"pods", "nodes", "events"} {
		for series, want := range map[string]float64{
			`objects_alive{group="",resource="%s"}`:                         200,
			`versions_recorded_total{group="",resource="%s",verb="create"}`: 200,
			`versions_recorded_total{group="",resource="%s",verb="update"}`: 0,
			`versions_recorded_total{group="",resource="%s",verb="delete"}`: 0,
			`versions_known_total{group="",resource="%s"}`:                  0,
		} {
			series = fmt.Sprintf(series, resource)
			if n, ok := got[series]; n != want || !ok {
				t.Errorf("%s: got %v, present: %t; want %v", series, n, ok, want)
			}
		}
	}
	if log.appends > 150 || log.largest > 64 {
		t.Errorf("got %d appends of at most %d records, want at most 150 of at most 64", log.appends, log.largest)
	}
	w.stop = func() error { return nil }
	for _, resource := range []history.Resource{pods, nodes, events} {
		records := w.records(resource)
		if len(records) != 200 {
			t.Errorf("got %d records of %s, want 200", len(records), resource.Plural)
		}
		for n, r := range records {
			if r.RV != fmt.Sprint(n+10) {
				t.Fatalf("record %d of %s: got version %s, want %d", n, resource.Plural, r.RV, n+10)
			}
		}
	}
}

// A watcher that is stopped while the queue is full leaves a stream whose head
// is newer than the log.
func TestStream_ReloadsAfterInterruptedObserve(t *testing.T) {
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
	for ; s.Observe(ctx, watchEvent("~", pod("a", "u1", fmt.Sprint(rv)))) == nil; rv++ {
		want = append(want, "update "+step()[1:])
	}
	time.AfterFunc(20*time.Millisecond, func() { close(gate) })
	s = w.stream(pods)
	if got := s.Checkpoint(); got != fmt.Sprint(rv-1) {
		t.Errorf("got checkpoint %q, want %d of the last accepted version", got, rv-1)
	}
	w.feed(s, step())
	records := w.records(pods)
	expect(t, records, append(want, "update "+step()[1:])...)
	if s := records[len(records)-1].Summary; s == nil || !strings.Contains(s.Text, "nodeName") {
		t.Errorf("version that was rejected at first: got summary %+v, want a change of nodeName", s)
	}
}

// A sync that is interrupted after its gap was opened must not be resumed from
// the withdrawn checkpoint.
func TestStream_ReloadsAfterInterruptedSync(t *testing.T) {
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
		t.Errorf("got checkpoint %q, want none: it was withdrawn", got)
	}
	w.feed(s, "sync", "+a/u1@1", "end 9")
	w.restart()
	w.one(pods, history.GapExpired, false)
}

// TestStream_ErrorNamesResourceOnce checks an error of the log, which names it.
func TestStream_ErrorNamesResourceOnce(t *testing.T) {
	w, _ := failOn(t, recorder.Options{})
	plural := strings.Repeat("x", 1<<17)
	_, err := w.Stream(t.Context(), history.Resource{Version: "v1", Plural: plural, Kind: "X"})
	if history.CodeOf(err) != history.Invalid || strings.Count(err.Error(), plural) != 1 ||
		strings.Contains(err.Error(), "register") {
		t.Errorf("got error %.200v with the name %d times, want an invalid one with it once",
			err, strings.Count(fmt.Sprint(err), plural))
	}
}
