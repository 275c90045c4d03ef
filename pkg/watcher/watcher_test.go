package watcher_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version: 5 (9)") + `}`
	fresh := hang(watchEvent("ADDED", "b", 4), watchEvent("ADDED", "a", 8), initialEnd(9), watchEvent("MODIFIED", "a", 10))
	synced := []string{"begin", "ADDED b@4", "ADDED a@8", "end 9", "MODIFIED a@10"}
	for _, c := range []struct {
		name       string
		checkpoint string
		answers    []http.HandlerFunc
		requests   []string
		calls      []string
	}{
		{
			"the first run streams", "",
			[]http.HandlerFunc{fresh},
			[]string{"stream"},
			synced,
		},
		{
			"a checkpoint is resumed from, without a sync", "5",
			[]http.HandlerFunc{
				lines(watchEvent("MODIFIED", "a", 6), bookmark(7)),
				lines(bookmark(8), watchEvent("DELETED", "a", 9)),
				cut(watchEvent("ADDED", "a", 11)),
				hang(watchEvent("MODIFIED", "a", 12)),
			},
			[]string{"watch 5", "watch 7", "watch 9", "watch 11"},
			[]string{"MODIFIED a@6", "bookmark 7", "bookmark 8", "DELETED a@9", "ADDED a@11", "MODIFIED a@12"},
		},
		{
			"410 as a status", "5",
			[]http.HandlerFunc{status(410, "Expired", "too old"), fresh},
			[]string{"watch 5", "stream"},
			synced,
		},
		{
			"410 as a frame", "5",
			[]http.HandlerFunc{lines(watchEvent("MODIFIED", "a", 6), gone), fresh},
			[]string{"watch 5", "stream"},
			append([]string{"MODIFIED a@6"}, synced...),
		},
		{
			"a resourceVersion that the server does not understand", "x",
			[]http.HandlerFunc{status(400, "BadRequest", "invalid resource version"), fresh},
			[]string{"watch x", "stream"},
			synced,
		},
		{
			"a stream that breaks off is aborted, and said again", "",
			[]http.HandlerFunc{cut(watchEvent("ADDED", "b", 4)), fresh},
			[]string{"stream", "stream"},
			append([]string{"begin", "ADDED b@4", "abort"}, synced...),
		},
		{
			"a server that does not know of streaming never says that the state is complete, and is listed", "",
			[]http.HandlerFunc{
				lines(watchEvent("ADDED", "c", 8), bookmark(8)),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("b", 4) + `,` + object("a", 8) + `]}`),
				hang(watchEvent("MODIFIED", "a", 10)),
			},
			[]string{"stream", "list 500", "watch 9"},
			append([]string{"begin", "ADDED c@8", "abort"}, synced...),
		},
		{
			"a server that was away and is the same is gone on with", "50",
			[]http.HandlerFunc{cut(), status(500, "InternalError", "etcd"), lines(`{}`), hang(watchEvent("MODIFIED", "a", 51))},
			[]string{"watch 50", "watch 50", "probe 50", "watch 50"},
			[]string{"MODIFIED a@51"},
		},
		{
			"a server that can't stream is listed by pages", "",
			[]http.HandlerFunc{
				status(422, "Invalid", "sendInitialEvents: Forbidden"),
				lines(`{"metadata":{"resourceVersion":"9","continue":"p2"},"items":[` + object("b", 4) + `]}`),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("a", 8) + `]}`),
				hang(watchEvent("MODIFIED", "a", 10)),
			},
			[]string{"stream", "list 500", "list 500 p2", "watch 9"},
			synced,
		},
		{
			"a server that can't stream says so in a frame", "",
			[]http.HandlerFunc{
				lines(`{"type":"ERROR","object":` + failure(500, "InternalError", "storage feature is disabled") + `}`),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[]}`),
				hang(),
			},
			[]string{"stream", "list 500", "watch 9"},
			[]string{"begin", "end 9"},
		},
		{
			"a page that expires restarts the sync, in one page", "",
			[]http.HandlerFunc{
				status(400, "BadRequest", "unknown"),
				lines(`{"metadata":{"resourceVersion":"7","continue":"p2"},"items":[` + object("c", 1) + `]}`),
				status(410, "Expired", "continue too old"),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("b", 4) + `,` + object("a", 8) + `]}`),
				hang(watchEvent("MODIFIED", "a", 10)),
			},
			[]string{"stream", "list 500", "list 500 p2", "list", "watch 9"},
			append([]string{"begin", "ADDED c@1", "abort"}, synced...),
		},
		{
			"half a page is no page", "",
			[]http.HandlerFunc{
				status(400, "BadRequest", "unknown"),
				lines(`{"metadata":{"resourceVersion":"7"},"items":[` + object("c", 1) + `,`),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[]}`),
				hang(),
			},
			[]string{"stream", "list 500", "list 500", "watch 9"},
			[]string{"begin", "ADDED c@1", "abort", "begin", "end 9"},
		},
		{
			"frames that make no sense are asked for again", "5",
			[]http.HandlerFunc{
				lines(watchEvent("ADDED", "a", 6), `{"type":"ADDED","object":{"metadata":{}}}`),
				lines(watchEvent("ADDED", "b", 7), `{"type":"ADDED"}`),
				lines(watchEvent("ADDED", "c", 8), `{"type":"STRANGE","object":{}}`),
				hang(watchEvent("ADDED", "d", 9)),
			},
			[]string{"watch 5", "watch 6", "watch 7", "watch 8"},
			[]string{"ADDED a@6", "ADDED b@7", "ADDED c@8", "ADDED d@9"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, sink := &script{answers: c.answers}, &fakeSink{checkpoint: c.checkpoint}
				if _, err := runScript(t, s, sink, 2*time.Minute); err != nil {
					t.Error(err)
				}
				if got := s.requests(); !slices.Equal(got, c.requests) {
					t.Errorf("requests\n got %q\nwant %q", got, c.requests)
				}
				if got := sink.calls(); !slices.Equal(got, c.calls) {
					t.Errorf("the sink was calls\n got %q\nwant %q", got, c.calls)
				}
			})
		})
	}
}

// A sync that is going on when the watcher ends has not ended.
func TestEndsWithinASync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		if _, err := runScript(t, &script{answers: []http.HandlerFunc{hang(watchEvent("ADDED", "b", 4))}}, sink, time.Minute); err != nil {
			t.Error(err)
		}
		if got, want := sink.calls(), []string{"begin", "ADDED b@4", "abort"}; !slices.Equal(got, want) {
			t.Errorf("the sink was calls %q, want %q", got, want)
		}
	})
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, call := range []string{"begin", "ADDED b@4", "end 9", "MODIFIED a@10", "bookmark 11"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []http.HandlerFunc{
					lines(watchEvent("ADDED", "b", 4), initialEnd(9), watchEvent("MODIFIED", "a", 10), bookmark(11)), hang(),
				}}
				sink := &fakeSink{fail: func(_ context.Context, c string) error {
					if c == call {
						return full
					}
					return nil
				}}
				if _, err := runScript(t, s, sink, time.Minute); !errors.Is(err, full) {
					t.Errorf("Run returned %v, want the sink's error", err)
				}
				if n := len(s.requests()); n != 1 {
					t.Errorf("%d requests, want the one in which the sink failed", n)
				}
			})
		})
	}
}

// What one resource's server sends, and nobody can read, must not end the watchers of all others. Nor is it passed over.
func TestFrameThatTheSinkCannotRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checkpoint string
		answers    []http.HandlerFunc
		requests   []string
		calls      []string
	}{
		"of a watch": {
			"5",
			[]http.HandlerFunc{lines(watchEvent("ADDED", "a", 6), watchEvent("ADDED", "bad", 7), watchEvent("ADDED", "c", 8)), hang(watchEvent("MODIFIED", "bad", 9))},
			[]string{"watch 5", "watch 6"},
			[]string{"ADDED a@6", "MODIFIED bad@9"},
		},
		"of a list": {
			"",
			[]http.HandlerFunc{
				status(422, "Invalid", "no"), lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("bad", 7) + `]}`),
				lines(`{"metadata":{"resourceVersion":"10"},"items":[]}`), hang(),
			},
			[]string{"stream", "list 500", "list 500", "watch 10"},
			[]string{"begin", "abort", "begin", "end 10"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: c.answers}
				sink := &fakeSink{checkpoint: c.checkpoint, fail: func(_ context.Context, call string) error {
					if call == "ADDED bad@7" {
						return history.Errorf(history.Invalid, "it has no UID")
					}
					return nil
				}}
				changes, err := runScript(t, s, sink, time.Minute)
				said := slices.ContainsFunc(changes, func(c watcher.Change) bool {
					return c.State == watcher.Waiting && strings.Contains(c.Detail, "no UID") && c.Reason == history.GapServerError
				})
				if err != nil || !said || !slices.Equal(s.requests(), c.requests) || !slices.Equal(sink.calls(), c.calls) {
					t.Errorf("changes %+v (%v), requests %q, calls %q", changes, err, s.requests(), sink.calls())
				}
			})
		})
	}
}

// A sink that blocks longer than a watch may be silent is no stalled watch; the frames wait for it.
func TestSinkBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{hang(watchEvent("ADDED", "a", 6), watchEvent("ADDED", "b", 7), bookmark(8))}}
		sink := &fakeSink{checkpoint: "5", fail: func(ctx context.Context, _ string) error {
			time.Sleep(time.Hour)
			return ctx.Err()
		}}
		if _, err := runScript(t, s, sink, 3*time.Hour+time.Minute); err != nil {
			t.Error(err)
		}
		if got, want := sink.calls(), []string{"ADDED a@6", "ADDED b@7", "bookmark 8"}; !slices.Equal(got, want) {
			t.Errorf("the sink was calls %q, want %q", got, want)
		}
		if got := s.requests(); len(got) != 1 {
			t.Errorf("requests %q, want one", got)
		}
	})
}

// A silent watch is cut and resumed, after the server was asked whether it knows the checkpoint at all: it says nothing
// about a watch from a future that it has lost.
func TestStalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &responder{answer: func(request string, nth int) http.HandlerFunc {
			switch {
			case request == "watch 5":
				return hang(bookmark(6))
			case request == "probe 6" && nth == 1:
				return lines(`{"metadata":{"resourceVersion":"6"},"items":[]}`)
			case request == "probe 6":
				return status(504, "Timeout", "Too large resource version: 6, current: 3")
			case request == "stream":
				return hang(watchEvent("ADDED", "a", 2), initialEnd(3))
			default:
				return hang()
			}
		}}
		sink := &fakeSink{checkpoint: "5"}
		changes, err := runScript(t, s, sink, 7*time.Minute)
		quiet := func(c watcher.Change) bool { return c.State == watcher.Waiting && c.Reason != history.GapExpired }
		if err != nil || slices.ContainsFunc(changes, quiet) {
			t.Errorf("changes of state %+v (%v), want none that waits for a server that is silent: a resource may be quiet", changes, err)
		}
		if got, want := s.requests(), []string{"watch 5", "probe 6", "watch 6", "probe 6", "stream"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
		if got, want := sink.calls(), []string{"bookmark 6", "begin", "ADDED a@2", "end 3"}; !slices.Equal(got, want) {
			t.Errorf("the sink was calls %q, want %q", got, want)
		}
	})
}

// A server that does not end the initial state, because it does not know how to, is listed.
func TestStallsWithinASync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{
			hang(watchEvent("ADDED", "a", 2)), lines(`{"metadata":{"resourceVersion":"6"},"items":[]}`), hang(),
		}}
		sink := &fakeSink{}
		if _, err := runScript(t, s, sink, 5*time.Minute); err != nil {
			t.Error(err)
		}
		if got, want := s.requests(), []string{"stream", "list 500", "watch 6"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

func TestWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{
			status(429, "TooManyRequests", "slow down", "Retry-After", "77"), hang(bookmark(6)),
		}}
		changes, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 2*time.Minute)
		if err != nil || len(s.when) != 2 || s.when[1].Sub(s.when[0]) < 77*time.Second {
			t.Errorf("asked at %v (%v), want twice, 77 s apart", s.when, err)
		}
		if len(changes) != 2 || changes[0].State != watcher.Waiting || changes[1].State != watcher.Watching {
			t.Errorf("changes of state: %+v", changes)
		}
	})
}

// Attempts grow rarer, up to the bound, and do not stop.
func TestBacksOff(t *testing.T) {
	t.Parallel()
	slow := func(w http.ResponseWriter, _ *http.Request) {
		write(w, []string{watchEvent("ADDED", "a", 4)})
		time.Sleep(time.Second)
	}
	for name, c := range map[string]struct {
		checkpoint string
		answer     http.HandlerFunc
	}{
		"failure":                     {"5", status(500, "", "etcd is down")},
		"watches that end at once":    {"5", lines()},
		"frames cut before the first": {"5", cut()},
		"syncs that do not end":       {"", slow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []http.HandlerFunc{c.answer}}
				if _, err := runScript(t, s, &fakeSink{checkpoint: c.checkpoint}, time.Hour); err != nil {
					t.Error(err)
				}
				if n := len(s.when); n < 100 || n > 300 {
					t.Errorf("%d requests in an hour, want one or two about every 30 s", n)
				}
			})
		})
	}
}

// A watch that brings something was worth it: after it the next attempt comes soon again.
func TestBacksOffAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := status(500, "", "etcd is down")
		s := &script{answers: []http.HandlerFunc{down, down, down, down, down, cut(watchEvent("ADDED", "a", 6)), hang()}}
		if _, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 2*time.Minute); err != nil {
			t.Error(err)
		}
		if len(s.when) != 7 || s.when[5].Sub(s.when[4]) < 2*time.Second || s.when[6].Sub(s.when[5]) > time.Second {
			t.Errorf("asked at %v, want ever more rarely, and soon after the last", s.when)
		}
	})
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{status(403, "Forbidden", `cannot watch resource "configmaps"`), "needs the verbs list and watch on configmaps"},
		{status(404, "NotFound", "not found"), "does not serve configmaps in version v1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{answers: []http.HandlerFunc{c.answer, c.answer, c.answer, hang(watchEvent("MODIFIED", "a", 6))}}
			sink := &fakeSink{checkpoint: "5"}
			changes, err := runScript(t, s, sink, 2*time.Minute)
			if err != nil || len(changes) != 2 || !changes[0].Refused || !strings.Contains(changes[0].Detail, c.want) ||
				changes[1].State != watcher.Watching || changes[1].Refused {
				t.Errorf("changes of state %+v (%v), want one that names %q, and its end", changes, err, c.want)
			}
			if got, want := sink.calls(), []string{"MODIFIED a@6"}; !slices.Equal(got, want) {
				t.Errorf("the sink was calls %q, want %q", got, want)
			}
		})
	}
}

// An event that is too large for memory is reported, not skipped: what follows it is not observed.
func TestHugeLine(t *testing.T) {
	t.Parallel()
	huge := func(w http.ResponseWriter, _ *http.Request) {
		write(w, []string{watchEvent("ADDED", "a", 6)})
		for block := strings.Repeat("x", 1<<20); ; {
			if _, err := w.Write([]byte(block)); err != nil {
				return
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s, sink := &script{answers: []http.HandlerFunc{huge, hang()}}, &fakeSink{checkpoint: "5"}
		changes, err := runScript(t, s, sink, time.Minute)
		if err != nil || !slices.ContainsFunc(changes, func(c watcher.Change) bool {
			return strings.Contains(c.Detail, "longer than 64 MiB")
		}) {
			t.Errorf("changes of state %+v (%v), want one that names the limit", changes, err)
		}
		if got, want := s.requests(), []string{"watch 5", "watch 6"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// Listed objects are completed, so that they look like watched ones.
func TestListedObjectsAreWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{
			status(400, "BadRequest", "unknown"),
			lines(`{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a","resourceVersion":"8"}}]}`), hang(),
		}}
		sink := &fakeSink{}
		if _, err := runScript(t, s, sink, time.Minute); err != nil {
			t.Error(err)
		}
		if len(sink.frames) != 1 || string(sink.frames[0].Object) != object("a", 8) || sink.frames[0].Type != history.Added {
			t.Errorf("observed %s, want %s", sink.frames, object("a", 8))
		}
	})
}

// Between the server's refusal to go on and the sync, nothing is observed, and the state has to say so: the sink has no gap yet.
func TestWhatExpiredIsNotObservedUntilTheSyncHasBegun(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version: 5 (9)") + `}`
	synctest.Test(t, func(t *testing.T) {
		fresh := hang(watchEvent("ADDED", "a", 8), initialEnd(9))
		s := &script{answers: []http.HandlerFunc{paused(time.Second, bookmark(6), gone), fresh}}
		changes, err := runScript(t, s, &fakeSink{checkpoint: "5"}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		var states []watcher.State
		for _, c := range changes {
			states = append(states, c.State)
		}
		want := []watcher.State{watcher.Watching, watcher.Waiting, watcher.Syncing, watcher.Watching}
		if !slices.Equal(states, want) || changes[1].Reason != history.GapExpired || changes[1].Refused {
			t.Errorf("changes of state %+v, want %v", changes, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		sink := &fakeSink{checkpoint: "5", fail: func(_ context.Context, call string) error {
			if call == "begin" {
				return full
			}
			return nil
		}}
		fresh := hang(watchEvent("ADDED", "a", 8))
		changes, err := runScript(t, &script{answers: []http.HandlerFunc{lines(gone), fresh}}, sink, time.Minute)
		if !errors.Is(err, full) || len(changes) != 1 || changes[0].State != watcher.Waiting {
			t.Errorf("changes of state %+v (%v), want that it waits for a sync that has not begun", changes, err)
		}
	})
}
