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

// paused answers with these lines, waits after each of them, and does not end
// the answer.
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

// A resource is watched when the changes since its checkpoint can be read, not
// when the server has answered.
func TestCatchUp_PrecedesTheStateWatching(t *testing.T) {
	t.Parallel()
	busy := make([]string, 1000)
	for i := range busy {
		busy[i] = watchEvent("MODIFIED", "a", 6+i)
	}
	for _, tc := range []struct {
		name          string
		answer        http.HandlerFunc
		atLeast, most int // events before
	}{
		{"no changes", hang(), 0, 0},
		{"changes without pauses", hang(busy[:3]...), 3, 3},
		{"changes with short pauses", paused(60*time.Millisecond, busy[:4]...), 4, 4},
		{"watch that never pauses", paused(20*time.Millisecond, busy...), 490, 510},
		{"watch that pauses only after maxCatchUp", paused(60*time.Millisecond, busy[:168]...), 166, 168},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				caughtUp := -1
				sink := &fakeSink{checkpoint: "5"}
				sink.fail = func(_ context.Context, call string) error {
					if call == "caught up" && caughtUp < 0 {
						caughtUp = len(sink.calls())
					}
					return nil
				}
				changes, err := runScript(t, &script{answers: []http.HandlerFunc{tc.answer}}, sink, time.Minute)
				if err != nil || len(changes) != 1 || changes[0].State != watcher.Watching {
					t.Errorf("changes: got %+v and %v, want watching", changes, err)
				}
				if caughtUp < tc.atLeast || caughtUp > tc.most {
					t.Errorf("events before it caught up: got %d, want %d to %d", caughtUp, tc.atLeast, tc.most)
				}
			})
		})
	}
}

// If the sink can't write the changes, the watcher ends and the state does not
// become Watching.
func TestCatchUp_EndsWithTheErrorOfTheSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		sink := &fakeSink{checkpoint: "5", fail: func(_ context.Context, call string) error {
			if call == "caught up" {
				return full
			}
			return nil
		}}
		changes, err := runScript(t,
			&script{answers: []http.HandlerFunc{paused(80*time.Millisecond, bookmark(6), bookmark(7))}},
			sink, time.Minute)
		if !errors.Is(err, full) || len(changes) > 0 {
			t.Errorf("Run: got %v and changes %+v, want %v and none", err, changes, full)
		}
		if got := sink.calls(); !slices.Equal(got, []string{"bookmark 6"}) {
			t.Errorf("calls of the sink: got %q, want one bookmark", got)
		}
	})
}

// Every watch may begin with missed changes, even if the one before ended
// regularly.
func TestCatchUp_HappensInEachWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var paused, resumed []int // numbers of calls before each CaughtUp
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
		_, err := runScript(t, &script{answers: []http.HandlerFunc{stream, ends, ends, hang()}}, sink, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if want := []int{1, 2, 3}; !slices.Equal(resumed, want) {
			t.Errorf("calls of Resume before each CaughtUp: got %v, want %v", resumed, want)
		}
		if want := []int{1, 2, 3}; !slices.Equal(paused, want) {
			t.Errorf("calls of Pause before each CaughtUp: got %v, want %v", paused, want)
		}
	})
}
