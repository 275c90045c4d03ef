package recorder_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

const expiredGapsOfPods = `gaps_total{group="",reason="expired",resource="pods"}`

// gaps returns the gaps that are in the log now.
func (w *world) gaps(r history.Resource) []history.Gap {
	w.t.Helper()
	gaps, err := w.store.Gaps(w.t.Context(), []schema.GroupResource{r.GroupResource()}, time.Time{}, time.Time{})
	if err != nil {
		w.t.Fatal(err)
	}
	return gaps
}

// one returns the only gap. The test fails if there is another number of gaps,
// or if the gap has another reason, or is open when it should be closed.
func (w *world) one(r history.Resource, reason history.GapReason, open bool) history.Gap {
	w.t.Helper()
	gaps := w.gaps(r)
	if len(gaps) != 1 || gaps[0].Reason != reason || gaps[0].Open() != open {
		w.t.Fatalf("gaps: got %+v, want one with reason %s, open: %t", gaps, reason, open)
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

func TestStream_ResumeLeavesNoGap(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2", "~a/u1@3", "bookmark 7")
	w.restart()
	w.feed(w.stream(pods), "-a/u1@9", "bookmark 12")
	w.restart()
	if got := w.gaps(pods); len(got) > 0 {
		t.Errorf("gaps: got %+v, want none", got)
	}
}

func TestRelist_LeavesAGapAroundInferredRecords(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3")
	w.restart()
	before := w.checkpoint(pods)
	s := w.stream(pods)
	w.feed(s, "~a/u1@4", "sync")
	if open := w.one(pods, history.GapExpired, true); open.Start.Before(before.CompleteUntil()) {
		t.Errorf("gap: got start %s, want it no earlier than %s", open.Start, before.CompleteUntil())
	}
	w.feed(s, "+a/u1@9", "end 10")
	records := w.records(pods)
	gap := w.one(pods, history.GapExpired, false)
	for _, r := range records[3:] {
		if r.InferredSince.Before(gap.Start) || r.Time.After(gap.End) {
			t.Errorf("%s %s: got it inferred between %s and %s, want it within the gap from %s to %s",
				r.Verb, r.Ref, r.InferredSince, r.Time, gap.Start, gap.End)
		}
	}
	if last := records[2]; gap.Start.After(last.Time) || !gap.End.Before(time.Now()) {
		t.Errorf("gap: got %s to %s, want its start before %s and its end in the past", gap.Start, gap.End, last.Time)
	}
	if !strings.Contains(gap.Detail, "resourceVersion 4") {
		t.Errorf("detail: got %q, want it to name resourceVersion 4", gap.Detail)
	}
	if got, ok := w.scrape()[expiredGapsOfPods]; ok {
		t.Errorf("%s of a recorder that opened no gap: got %v, want no series", expiredGapsOfPods, got)
	}
}

func TestRelist_CrashLeavesTheGapOpenForTheNext(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3")
	w.restart()
	before := w.checkpoint(pods)
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.restart()
	opened := w.one(pods, history.GapRestarted, true)
	if !opened.Start.Equal(before.CompleteUntil()) {
		t.Errorf("gap: got start %s, want %s", opened.Start, before.CompleteUntil())
	}
	s := w.stream(pods)
	w.feed(s, "sync", "abort")
	w.restart()
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.feed(w.stream(pods), "end 10")
	w.restart()
	closed := w.one(pods, history.GapRestarted, false)
	if !closed.Start.Equal(opened.Start) {
		t.Errorf("closed gap: got start %s, want %s as when it was opened", closed.Start, opened.Start)
	}
	w.feed(w.stream(pods), "~a/u1@11")
	if got := w.checkpoint(pods); !closed.End.Before(time.Now()) || got.Time.Before(closed.Start) {
		t.Errorf("got gap %+v and checkpoint %+v, want the gap's end in the past and the checkpoint after its start",
			closed, got)
	}
}

func TestRelist_AbortedListSharesItsGapWithTheNext(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3", "sync", "+a/u1@4", "abort")
	opened := w.one(pods, history.GapExpired, true)
	w.feed(s, "sync", "abort", "sync", "+a/u1@5", "end 6", "bookmark 7", "sync", "+a/u1@8", "end 9")
	eventually(t, "two gaps that are closed", func() bool {
		gaps := w.gaps(pods)
		return len(gaps) == 2 && gaps[0].Start.Equal(opened.Start) && !gaps[0].Open() && !gaps[1].Open()
	})
	if got := w.scrape()[expiredGapsOfPods]; got != 2 {
		t.Errorf("%s: got %v, want 2", expiredGapsOfPods, got)
	}
}

func TestFirstList_InterruptedAfterARecordLeavesAGap(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(nodes), "sync", "abort", "sync", "+a/u1@1", "end 3")
	began := time.Now()
	w.feed(w.stream(pods), "sync", "+a/u1@1")
	w.restart()
	if got := w.gaps(nodes); len(got) > 0 {
		t.Errorf("gaps of a resource without records: got %+v, want none", got)
	}
	s := w.stream(pods)
	w.feed(s, "sync")
	if gap := w.one(pods, history.GapInterrupted, true); gap.Start.After(began) {
		t.Errorf("gap: got start %s, want it no later than %s", gap.Start, began)
	}
	w.restart()
	w.feed(w.stream(pods), "sync", "+b/u2@2", "end 5")
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial", "delete a/u1@1 inferred")
	w.one(pods, history.GapInterrupted, false)
}

func TestRelist_CauseIsTheReasonOfItsGap(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []string // after the restart
		cause history.GapReason
		want  history.GapReason
	}{
		"forbidden":                    {[]string{"~a/u1@4"}, history.GapForbidden, history.GapForbidden},
		"forbidden since the restart":  {nil, history.GapForbidden, history.GapForbidden},
		"no answer":                    {[]string{"bookmark 4"}, history.GapDisconnected, history.GapDisconnected},
		"no answer since the restart":  {nil, history.GapDisconnected, history.GapRestarted},
		"expired":                      {[]string{"bookmark 4"}, history.GapExpired, history.GapExpired},
		"expired since the restart":    {nil, history.GapExpired, history.GapRestarted},
		"no cause":                     {[]string{"bookmark 4"}, "", history.GapExpired},
		"no cause since the restart":   {nil, "", history.GapRestarted},
		"ignored by the configuration": {nil, history.GapNotConfigured, history.GapNotConfigured},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, recorder.Options{}, nil)
			w.feed(w.stream(pods), "sync", "+a/u1@1", "end 3")
			w.restart()
			s := w.stream(pods)
			w.feed(s, tt.steps...)
			w.cause = gap.Cause{Reason: tt.cause, Detail: "the detail"}
			w.feed(s, "sync")
			opened := w.one(pods, tt.want, true)
			if got, want := opened.Detail == "the detail", tt.cause == tt.want &&
				tt.cause != history.GapExpired; got != want {
				t.Errorf("detail: got %q, want the cause's: %t", opened.Detail, want)
			}
		})
	}
}

// The first list after the checkpoint opens the gap. The cause of a later list
// does not replace its reason.
func TestRelist_OpenGapKeepsItsReason(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 3")
	w.cause = gap.Cause{Reason: history.GapNotConfigured, Detail: "it was ignored"}
	w.feed(s, "sync", "abort")
	w.cause = gap.Cause{Reason: history.GapDisconnected, Detail: "no route"}
	w.feed(s, "sync")
	if got := w.one(pods, history.GapNotConfigured, true); got.Detail != "it was ignored" {
		t.Errorf("detail: got %q, want %q", got.Detail, "it was ignored")
	}
}

// A commit may be seconds late. A checkpoint that was dated by its commit would
// let a gap begin too late.
func TestCheckpoint_IsDatedByItsReceipt(t *testing.T) {
	var clock atomic.Pointer[time.Time]
	received := time.Now().UTC()
	clock.Store(&received)
	w, log := failOn(t, recorder.Options{Now: func() time.Time { return *clock.Load() }})
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	eventually(t, "a commit", func() bool { return w.scrape()["commits_total"] > 0 })
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	w.feed(s, "+a/u1@2")
	committed := received.Add(time.Minute)
	clock.Store(&committed)
	close(gate)
	w.restart()
	if c := w.checkpoint(pods); c.RV != "2" || c.Time.After(received) {
		t.Errorf("got %+v, want RV 2, received at %s or before", c, received)
	}
}

// The log moves the end of a gap after the records in it. If there are none,
// the end of the list alone is the end of the gap.
func TestGap_WithoutRecordsEndsWithItsList(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2")
	w.restart()
	s := w.stream(pods)
	w.feed(s, "sync")
	w.one(pods, history.GapRestarted, true)
	began := time.Now()
	w.feed(s, "+a/u1@1", "end 10")
	if n := len(w.records(pods)); n != 1 {
		t.Fatalf("got %d records, want the one from before the gap", n)
	}
	if gap := w.one(pods, history.GapRestarted, false); gap.End.Before(began) {
		t.Errorf("gap: got end %s, want it after %s, when the list had not ended", gap.End, began)
	}
}

// After the clock was set back, the checkpoint is dated in the future and new
// records are dated before it.
func TestGap_ClockThatIsSetBackHidesNoGap(t *testing.T) {
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
		t.Errorf("open gap: got start %s, want it no later than now, %s", g.Start, back)
	}
	found := set(back.Add(time.Minute))
	w.feed(s, "+a/u1@4", "end 5")
	changed := w.records(pods)[1]
	gap := w.one(pods, history.GapRestarted, false)
	if gap.Start.After(back) || gap.End.Before(found) || changed.InferredSince.After(changed.Time) {
		t.Errorf("got a gap from %s to %s and a change between %s and %s, want the gap to cover %s to %s",
			gap.Start, gap.End, changed.InferredSince, changed.Time, back, found)
	}

	set(found.Add(time.Hour))
	w.feed(w.stream(pods), "bookmark 6")
	w.restart()
	w.feed(w.stream(pods), "sync")
	set(back) // while the list is running
	w.feed(w.stream(pods), "end 7")
	w.restart()
	for _, g := range w.gaps(pods) {
		if g.Open() || g.End.Before(g.Start) {
			t.Errorf("got a gap from %s to %s, want it closed and its end after its start", g.Start, g.End)
		}
	}
}

// clocked returns a world with its own clock, and a function that advances the
// clock and returns the new time.
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

// A paged list has the resourceVersion of its first page. An object that exists
// only during the list is in no page. If the resourceVersion expires at once,
// the object is in no watch either.
func TestCheckpoint_IsAsOldAsItsList(t *testing.T) {
	w, pass := clocked(t)
	s := w.stream(pods)
	began := pass(time.Minute)
	w.feed(s, "sync")
	pass(10 * time.Minute)
	w.feed(s, "+a/u1@1", "end 3")
	s.Resume()
	pass(time.Second)
	w.feed(s, "~a/u1@4") // it may have happened during the list too
	w.restart()
	if got := w.checkpoint(pods); got.RV != "4" || got.Time.After(began) {
		t.Errorf("checkpoint: got %+v, want RV 4, no later than the beginning of the list, %s", got, began)
	}
	w.feed(w.stream(pods), "sync", "+a/u1@9", "end 10")
	changed := w.records(pods)[2]
	gap := w.one(pods, history.GapRestarted, false)
	if gap.Start.After(began) || changed.InferredSince.IsZero() || changed.InferredSince.After(began) {
		t.Errorf("got a gap from %s and a change inferred since %s, want both no later than %s",
			gap.Start, changed.InferredSince, began)
	}
}

// A resumed watch delivers the missed changes first. If it is interrupted
// before it has caught up, the remaining changes are as old as the checkpoint.
func TestCheckpoint_KeepsItsTimeUntilTheWatchHasCaughtUp(t *testing.T) {
	for name, caughtUp := range map[string]func(*world, *recorder.Stream) error{
		"caught up":         func(w *world, s *recorder.Stream) error { return s.CaughtUp(w.t.Context()) },
		"a bookmark":        func(w *world, s *recorder.Stream) error { return s.Bookmark(w.t.Context(), "6") },
		"still catching up": func(*world, *recorder.Stream) error { return nil },
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
				if name == "still catching up" {
					want = left
				}
				if got := w.checkpoint(pods); got.RV != "7" || !got.Time.Equal(want) {
					t.Errorf("checkpoint: got %+v, want RV 7 at %s", got, want)
				}
			})
		}
	}
}
