package recorder_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// gaps returns what is in the log by now.
func (w *world) gaps(r history.Resource) []history.Gap {
	w.t.Helper()
	gaps, err := w.store.Gaps(w.t.Context(), []schema.GroupResource{r.GroupResource()}, time.Time{}, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return gaps
}

// one returns the only gap, and fails if it is not of this reason, or not as open as it should be.
func (w *world) one(r history.Resource, reason history.GapReason, open bool) history.Gap {
	w.t.Helper()
	gaps := w.gaps(r)
	if len(gaps) != 1 || gaps[0].Reason != reason || gaps[0].Open() != open {
		w.t.Fatalf("gaps %+v, want one, %s, open: %t", gaps, reason, open)
	}
	return gaps[0]
}

func (w *world) checkpoint(r history.Resource) history.Checkpoint {
	w.t.Helper()
	c, err := w.store.Checkpoint(w.t.Context(), r.GroupResource())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestRecordingAndResumingLeaveNoGap(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2", "~a/u1@3", "bookmark 7")
	w.restart()
	w.Explain(pods.GroupResource(), history.GapDisconnected, "it was away for a while")
	w.feed(w.stream(pods), "-a/u1@9", "bookmark 12")
	w.restart()
	if got := w.gaps(pods); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestASyncAfterTheFirstLeavesAGapAroundWhatItInfers(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3")
	w.restart()
	before := w.checkpoint(pods)
	s := w.stream(pods)
	w.feed(s, "~a/u1@4", "sync")
	if open := w.one(pods, history.GapExpired, true); open.Start.Before(before.CompleteUntil()) {
		t.Errorf("the gap starts at %s, and %s is complete", open.Start, before.CompleteUntil())
	}
	w.feed(s, "+a/u1@9", "end 10")
	records := w.records(pods)
	gap := w.one(pods, history.GapExpired, false)
	for _, r := range records[3:] {
		if r.InferredSince.Before(gap.Start) || r.Time.After(gap.End) {
			t.Errorf("%s %s at %s, inferred since %s, is not within %s and %s", r.Verb, r.Ref, r.Time, r.InferredSince, gap.Start, gap.End)
		}
	}
	if last := records[2]; gap.Start.After(last.Time) || !gap.End.Before(time.Now()) {
		t.Errorf("the gap is from %s to %s, the last version before it of %s", gap.Start, gap.End, last.Time)
	}
	if !strings.Contains(gap.Detail, "resourceVersion 4") {
		t.Errorf("detail %q", gap.Detail)
	}
	if stats := w.Stats(); len(stats.Resources) > 0 {
		t.Errorf("a recorder that opened no gap counts %+v", stats.Resources)
	}
}

func TestACrashInASyncLeavesTheGapOpenForTheNext(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3")
	w.restart()
	before := w.checkpoint(pods)
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.restart()
	opened := w.one(pods, history.GapRestarted, true)
	if !opened.Start.Equal(before.CompleteUntil()) {
		t.Errorf("the gap starts at %s, the checkpoint is complete at %s", opened.Start, before.CompleteUntil())
	}
	s := w.stream(pods)
	w.feed(s, "sync", "abort")
	w.restart()
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.feed(w.stream(pods), "end 10")
	w.restart()
	closed := w.one(pods, history.GapRestarted, false)
	if !closed.Start.Equal(opened.Start) {
		t.Errorf("the gap moved from %s to %s", opened.Start, closed.Start)
	}
	w.feed(w.stream(pods), "~a/u1@11")
	if got := w.checkpoint(pods); !closed.End.Before(time.Now()) || got.Time.Before(closed.Start) {
		t.Errorf("the gap %+v, the checkpoint %+v", closed, got)
	}
}

func TestAnAbortedSyncIsOneGapWithTheNext(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3", "sync", "+a/u1@4", "abort")
	opened := w.one(pods, history.GapExpired, true)
	w.feed(s, "sync", "abort", "sync", "+a/u1@5", "end 6", "bookmark 7", "sync", "+a/u1@8", "end 9")
	eventually(t, "two gaps that are closed", func() bool {
		gaps := w.gaps(pods)
		return len(gaps) == 2 && gaps[0].Start.Equal(opened.Start) && !gaps[0].Open() && !gaps[1].Open()
	})
	if stats := w.Stats(); stats.Resources[0].Gaps[history.GapExpired] != 2 {
		t.Errorf("counted %+v", stats.Resources)
	}
}

func TestAFirstSyncThatBreaksOffIsAGapOnceItRecordedSomething(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(nodes), "sync", "abort", "sync", "+a/u1@1", "end 3")
	began := time.Now()
	w.feed(w.stream(pods), "sync", "+a/u1@1")
	w.restart()
	if got := w.gaps(nodes); len(got) > 0 {
		t.Errorf("what never recorded anything has %+v", got)
	}
	s := w.stream(pods)
	w.feed(s, "sync")
	if gap := w.one(pods, history.GapInterrupted, true); gap.Start.After(began) {
		t.Errorf("the gap starts at %s, recording began at %s", gap.Start, began)
	}
	w.restart()
	w.feed(w.stream(pods), "sync", "+b/u2@2", "end 5")
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial", "delete a/u1@1 inferred")
	w.one(pods, history.GapInterrupted, false)
}

func TestWhatKeptAResourceFromBeingObservedIsTheReason(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []string
		why   history.GapReason
		want  history.GapReason
	}{
		"lost rights":                      {[]string{"~a/u1@4"}, history.GapForbidden, history.GapForbidden},
		"lost rights while it was away":    {nil, history.GapForbidden, history.GapForbidden},
		"no answer":                        {[]string{"bookmark 4"}, history.GapDisconnected, history.GapDisconnected},
		"no answer at first, but was away": {nil, history.GapDisconnected, history.GapRestarted},
		"forgotten":                        {[]string{"bookmark 4"}, history.GapExpired, history.GapExpired},
		"forgotten while it was away":      {nil, history.GapExpired, history.GapRestarted},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, recorder.Options{}, nil)
			w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3")
			w.restart()
			s := w.stream(pods)
			w.feed(s, tt.steps...)
			w.Explain(pods.GroupResource(), tt.why, "why")
			w.feed(s, "sync")
			w.one(pods, tt.want, true)
		})
	}
}

func TestNoAnswerAndNoMemoryReplaceNoOtherReason(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3")
	w.Explain(pods.GroupResource(), history.GapNotConfigured, "it was left out")
	w.Explain(pods.GroupResource(), history.GapDisconnected, "no route")
	w.Explain(pods.GroupResource(), history.GapExpired, "forgotten")
	w.feed(s, "sync")
	if gap := w.one(pods, history.GapNotConfigured, true); gap.Detail != "it was left out" {
		t.Errorf("detail %q", gap.Detail)
	}
}

func TestAnExplanationIsForgottenOnceSomethingIsObserved(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3")
	w.Explain(pods.GroupResource(), history.GapForbidden, "why")
	w.feed(s, "~a/u1@4", "sync")
	w.one(pods, history.GapExpired, true)
}

// TestCheckpointsAreDatedByTheirReceipt: what is committed seconds later must not make a gap begin later.
func TestCheckpointsAreDatedByTheirReceipt(t *testing.T) {
	w, log := failOn(t, recorder.Options{})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	eventually(t, "a commit", func() bool { return w.Stats().Batches > 0 })
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	w.feed(s, "+a/u1@2")
	received := time.Now()
	time.Sleep(20 * time.Millisecond)
	close(gate)
	w.restart()
	if c := w.checkpoint(pods); c.RV != "2" || c.Time.After(received) {
		t.Errorf("%+v, received before %s", c, received)
	}
}

// The log moves a gap's end behind the records in it; where there are none, the sync alone says where it ends.
func TestAGapInWhichNothingIsInferredReachesToTheEndOfItsSync(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2")
	w.restart()
	s := w.stream(pods)
	w.feed(s, "sync")
	w.one(pods, history.GapRestarted, true)
	began := time.Now()
	w.feed(s, "+a/u1@1", "end 10")
	if n := len(w.records(pods)); n != 1 {
		t.Fatalf("%d records, want the one from before", n)
	}
	if gap := w.one(pods, history.GapRestarted, false); gap.End.Before(began) {
		t.Errorf("the gap ends at %s, and its sync had not ended at %s", gap.End, began)
	}
}

// TestAClockThatIsSetBackHidesNoGap: the checkpoint is dated in what is the future now, and what is recorded comes before that.
func TestAClockThatIsSetBackHidesNoGap(t *testing.T) {
	var clock atomic.Pointer[time.Time]
	set := func(at time.Time) time.Time { clock.Store(&at); return at }
	w := &world{t: t, dir: t.TempDir(), now: func() time.Time { return *clock.Load() }}
	w.opts = recorder.Options{Now: w.now, Logger: slog.New(slog.DiscardHandler)}
	began := set(time.Now())
	w.start()
	t.Cleanup(func() { _ = w.close() })
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2")
	w.restart()
	set(began.Add(2 * time.Hour))
	w.feed(w.stream(pods), "bookmark 3")
	w.restart()

	back := set(began.Add(time.Hour))
	s := w.stream(pods)
	w.feed(s, "sync")
	if g := w.one(pods, history.GapRestarted, true); g.Start.After(back) {
		t.Errorf("the open gap starts at %s, and it is %s", g.Start, back)
	}
	found := set(back.Add(time.Minute))
	w.feed(s, "+a/u1@4", "end 5")
	changed := w.records(pods)[1]
	gap := w.one(pods, history.GapRestarted, false)
	if gap.Start.After(back) || gap.End.Before(found) || changed.InferredSince.After(changed.Time) {
		t.Errorf("between %s and %s nothing was seen, the gap is from %s to %s, and the change from %s to %s",
			back, found, gap.Start, gap.End, changed.InferredSince, changed.Time)
	}

	set(found.Add(time.Hour))
	w.feed(w.stream(pods), "bookmark 6")
	w.restart()
	w.feed(w.stream(pods), "sync")
	set(back) // while the sync is under way
	w.feed(w.stream(pods), "end 7")
	w.restart()
	for _, g := range w.gaps(pods) {
		if g.Open() || g.End.Before(g.Start) {
			t.Errorf("a gap from %s to %s", g.Start, g.End)
		}
	}
}

// clocked is a world with a clock of its own.
func clocked(t *testing.T) (w *world, pass func(time.Duration) time.Time) {
	t.Helper()
	var clock atomic.Pointer[time.Time]
	began := time.Now().UTC()
	clock.Store(&began)
	w = &world{t: t, dir: t.TempDir(), now: func() time.Time { return *clock.Load() }}
	w.opts = recorder.Options{Now: w.now, Logger: slog.New(slog.DiscardHandler)}
	w.start()
	t.Cleanup(func() { _ = w.close() })
	return w, func(d time.Duration) time.Time {
		now := clock.Load().Add(d)
		clock.Store(&now)
		return now
	}
}

// The resourceVersion of a list by pages is that of its beginning. What came and went during the list is in none of its pages, and if
// the resourceVersion expires at once, it is in no watch either.
func TestACheckpointIsAsOldAsTheSyncThatItEnds(t *testing.T) {
	w, pass := clocked(t)
	s := w.stream(pods)
	began := pass(time.Minute)
	w.feed(s, "sync")
	pass(10 * time.Minute)
	w.feed(s, "+a/u1@1", "end 3")
	s.Resume()
	pass(time.Second)
	w.feed(s, "~a/u1@4") // of the time of the list, too
	w.restart()
	if got := w.checkpoint(pods); got.RV != "4" || got.Time.After(began) {
		t.Errorf("the checkpoint %+v is later than the beginning of the sync, %s", got, began)
	}
	w.feed(w.stream(pods), "sync", "+a/u1@9", "end 10")
	changed := w.records(pods)[2]
	gap := w.one(pods, history.GapRestarted, false)
	if gap.Start.After(began) || changed.InferredSince.IsZero() || changed.InferredSince.After(began) {
		t.Errorf("nothing is known since %s, the gap starts at %s, and the change is inferred since %s", began, gap.Start, changed.InferredSince)
	}
}

// A watch brings at once what happened while nobody watched. If it breaks off in the middle of that, the rest is as old.
func TestACheckpointIsNoLaterThanWhatItsWatchHasYetToBring(t *testing.T) {
	for name, caughtUp := range map[string]func(*world, *recorder.Stream) error{
		"nothing more came":  func(w *world, s *recorder.Stream) error { return s.CaughtUp(w.t.Context()) },
		"a bookmark":         func(w *world, s *recorder.Stream) error { return s.Bookmark(w.t.Context(), "6") },
		"it goes on by then": func(*world, *recorder.Stream) error { return nil },
	} {
		for _, restarted := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				w, pass := clocked(t)
				s := w.stream(pods)
				w.feed(s, "sync", "+a/u1@1", "end 2", "bookmark 3")
				left := pass(0)
				if restarted {
					w.restart()
					s = w.stream(pods)
				}
				pass(time.Hour)
				s.Resume()
				w.feed(s, "~a/u1@5")
				if err := caughtUp(w, s); err != nil {
					t.Fatal(err)
				}
				now := pass(time.Minute)
				w.feed(s, "~a/u1@7")
				w.restart()
				want := now
				if strings.HasPrefix(name, "it goes on") {
					want = left
				}
				if got := w.checkpoint(pods); got.RV != "7" || !got.Time.Equal(want) {
					t.Errorf("the checkpoint %+v, want it of %s", got, want)
				}
			})
		}
	}
}

func TestAnExplanationIsForgottenOnceTheResourceIsObservedAgain(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3")
	w.Explain(pods.GroupResource(), history.GapForbidden, "why")
	s.Resume()
	if err := s.CaughtUp(t.Context()); err != nil { // and nothing happens
		t.Fatal(err)
	}
	w.Explain(pods.GroupResource(), history.GapExpired, "it has forgotten 3")
	w.feed(s, "sync")
	w.one(pods, history.GapExpired, true)
}
