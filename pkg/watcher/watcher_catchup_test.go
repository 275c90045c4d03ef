package watcher_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// paused answers with lines that pauses lie between, and then with nothing.
func paused(pause time.Duration, lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, line := range lines {
			write(w, []string{line})
			select {
			case <-r.Context().Done():
			case <-time.After(pause):
			}
		}
		<-r.Context().Done()
	}
}

// A resource is observed when what happened since its checkpoint has been taken and can be read, not when the server has said yes.
func TestABacklogIsReadBeforeAResourceIsObserved(t *testing.T) {
	t.Parallel()
	busy := make([]string, 1000)
	for i := range busy {
		busy[i] = watchEvent("MODIFIED", "a", 6+i)
	}
	for _, tc := range []struct {
		name          string
		answer        http.HandlerFunc
		atLeast, most int // frames taken before
	}{
		{"nothing happened", hang(), 0, 0},
		{"in one go", hang(busy[:3]...), 3, 3},
		{"with short pauses", paused(60*time.Millisecond, busy[:4]...), 4, 4},
		{"on a watch that never pauses", paused(20*time.Millisecond, busy...), 490, 510},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				settled := -1
				sink := &fakeSink{checkpoint: "5"}
				sink.fail = func(_ context.Context, call string) error {
					if call == "caught up" && settled < 0 {
						settled = len(sink.calls())
					}
					return nil
				}
				changes, err := runScript(t, &script{answers: []http.HandlerFunc{tc.answer}}, sink, time.Minute)
				if err != nil || len(changes) != 1 || changes[0].State != watcher.Watching {
					t.Errorf("changes of state %+v (%v), want that it is observed", changes, err)
				}
				if settled < tc.atLeast || settled > tc.most {
					t.Errorf("%d frames were taken when it was observed, want %d to %d", settled, tc.atLeast, tc.most)
				}
			})
		})
	}
}

// What can't be made readable ends the watcher, and is not said to be observed.
func TestABacklogThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		sink := &fakeSink{checkpoint: "5", fail: func(_ context.Context, call string) error {
			if call == "caught up" {
				return full
			}
			return nil
		}}
		changes, err := runScript(t, &script{answers: []http.HandlerFunc{paused(80*time.Millisecond, bookmark(6), bookmark(7))}}, sink, time.Minute)
		if !errors.Is(err, full) || len(changes) > 0 {
			t.Errorf("Run returned %v, the states were %+v; want the sink's error", err, changes)
		}
		if got := sink.calls(); !slices.Equal(got, []string{"bookmark 6"}) {
			t.Errorf("the sink was calls %q after it had failed", got)
		}
	})
}

// Every watch that goes on may begin with the past, also one that takes the place of one that ended in an orderly way.
func TestEachWatchSaysWhenItGoesOnAndWhenItHasCaughtUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var paused, resumed []int // watches by when the sink was settled
		sink := &fakeSink{}
		sink.fail = func(_ context.Context, call string) error {
			if call == "caught up" {
				paused, resumed = append(paused, sink.paused), append(resumed, sink.resumed)
			}
			return nil
		}
		ends := func(w http.ResponseWriter, _ *http.Request) {
			write(w, []string{watchEvent("MODIFIED", "a", 6)})
			time.Sleep(time.Second)
		}
		stream := lines(watchEvent("ADDED", "a", 4), initialEnd(5))
		if _, err := runScript(t, &script{answers: []http.HandlerFunc{stream, ends, ends, hang()}}, sink, time.Minute); err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 2, 3}; !slices.Equal(resumed, want) {
			t.Errorf("caught up after %v watches, want %v", resumed, want)
		}
		if want := []int{1, 2, 3}; !slices.Equal(paused, want) {
			t.Errorf("caught up after the ends of %v watches, want %v", paused, want)
		}
	})
}
