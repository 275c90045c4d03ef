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

func TestWatcher_RecoversFromFaults(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version: 5 (9)") + `}`
	fresh := hang(watchEvent("ADDED", "b", 4), watchEvent("ADDED", "a", 8), initialEnd(9),
		watchEvent("MODIFIED", "a", 10))
	synced := []string{"begin", "ADDED b@4", "ADDED a@8", "end 9", "MODIFIED a@10"}
	for _, c := range []struct {
		name       string
		checkpoint string
		answers    []http.HandlerFunc
		requests   []string
		calls      []string
	}{
		{
			"first run streams", "",
			[]http.HandlerFunc{fresh},
			[]string{"stream"},
			synced,
		},
		{
			"checkpoint resumes without a list", "5",
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
			"410 as an event", "5",
			[]http.HandlerFunc{lines(watchEvent("MODIFIED", "a", 6), gone), fresh},
			[]string{"watch 5", "stream"},
			append([]string{"MODIFIED a@6"}, synced...),
		},
		{
			"malformed resourceVersion", "x",
			[]http.HandlerFunc{status(400, "BadRequest", "invalid resource version"), fresh},
			[]string{"watch x", "stream"},
			synced,
		},
		{
			"interrupted stream is aborted and repeated", "",
			[]http.HandlerFunc{cut(watchEvent("ADDED", "b", 4)), fresh},
			[]string{"stream", "stream"},
			append([]string{"begin", "ADDED b@4", "abort"}, synced...),
		},
		{
			"server that ignores the parameters of streaming is listed", "",
			[]http.HandlerFunc{
				lines(watchEvent("ADDED", "c", 8), bookmark(8)),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("b", 4) + `,` + object("a", 8) + `]}`),
				hang(watchEvent("MODIFIED", "a", 10)),
			},
			[]string{"stream", "list 500", "watch 9"},
			append([]string{"begin", "ADDED c@8", "abort"}, synced...),
		},
		{
			"server that was away resumes", "50",
			[]http.HandlerFunc{
				cut(), status(500, "InternalError", "etcd"), lines(`{}`), hang(watchEvent("MODIFIED", "a", 51)),
			},
			[]string{"watch 50", "watch 50", "probe 50", "watch 50"},
			[]string{"MODIFIED a@51"},
		},
		{
			"server that can't stream is listed in pages", "",
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
			"server that can't stream reports it in an event", "",
			[]http.HandlerFunc{
				lines(`{"type":"ERROR","object":` + failure(500, "InternalError", "storage feature is disabled") + `}`),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[]}`),
				hang(),
			},
			[]string{"stream", "list 500", "watch 9"},
			[]string{"begin", "end 9"},
		},
		{
			"expired page restarts the list as a single page", "",
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
			"truncated page is not a page", "",
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
			"unreadable events are requested again", "5",
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
				checkRun(t, s, sink, 2*time.Minute, c.requests, c.calls)
			})
		})
	}
}

func TestWatcher_AbortsTheListWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		if _, err := runScript(t, &script{answers: []http.HandlerFunc{hang(watchEvent("ADDED", "b", 4))}},
			sink, time.Minute); err != nil {
			t.Error(err)
		}
		if got, want := sink.calls(), []string{"begin", "ADDED b@4", "abort"}; !slices.Equal(got, want) {
			t.Errorf("calls of the sink: got %q, want %q", got, want)
		}
	})
}

func TestWatcher_EndsWithTheErrorOfItsSink(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, call := range []string{"begin", "ADDED b@4", "end 9", "MODIFIED a@10", "bookmark 11"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []http.HandlerFunc{
					lines(watchEvent("ADDED", "b", 4), initialEnd(9), watchEvent("MODIFIED", "a", 10), bookmark(11)),
					hang(),
				}}
				sink := &fakeSink{fail: func(_ context.Context, c string) error {
					if c == call {
						return full
					}
					return nil
				}}
				if _, err := runScript(t, s, sink, time.Minute); !errors.Is(err, full) {
					t.Errorf("Run: got %v, want %v", err, full)
				}
				if n := len(s.requests()); n != 1 {
					t.Errorf("requests: got %d, want 1, in which the sink failed", n)
				}
			})
		})
	}
}

// An unreadable event neither ends the watcher nor is skipped.
func TestWatcher_RequestsUnreadableEventsAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		checkpoint string
		answers    []http.HandlerFunc
		requests   []string
		calls      []string
	}{
		"of a watch": {
			"5",
			[]http.HandlerFunc{
				lines(watchEvent("ADDED", "a", 6), watchEvent("ADDED", "bad", 7), watchEvent("ADDED", "c", 8)),
				hang(watchEvent("MODIFIED", "bad", 9)),
			},
			[]string{"watch 5", "watch 6"},
			[]string{"ADDED a@6", "MODIFIED bad@9"},
		},
		"of a list": {
			"",
			[]http.HandlerFunc{
				status(422, "Invalid", "no"),
				lines(`{"metadata":{"resourceVersion":"9"},"items":[` + object("bad", 7) + `]}`),
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
				changes := checkRun(t, s, sink, time.Minute, c.requests, c.calls)
				if !slices.ContainsFunc(changes, func(c watcher.Change) bool {
					return c.State == watcher.Waiting && strings.Contains(c.Detail, "no UID") &&
						c.Reason == history.GapServerError
				}) {
					t.Errorf("changes: got %+v, want one with a server error that names the missing UID", changes)
				}
			})
		})
	}
}

// A sink may block for longer than StallAfter. The watch does not count as
// stalled, and the events wait.
func TestWatcher_WaitsForItsSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{
			answers: []http.HandlerFunc{hang(watchEvent("ADDED", "a", 6), watchEvent("ADDED", "b", 7), bookmark(8))},
		}
		sink := &fakeSink{checkpoint: "5", fail: func(ctx context.Context, _ string) error {
			time.Sleep(time.Hour)
			return ctx.Err()
		}}
		if _, err := runScript(t, s, sink, 3*time.Hour+time.Minute); err != nil {
			t.Error(err)
		}
		if got, want := sink.calls(), []string{"ADDED a@6", "ADDED b@7", "bookmark 8"}; !slices.Equal(got, want) {
			t.Errorf("calls of the sink: got %q, want %q", got, want)
		}
		if got := s.requests(); len(got) != 1 {
			t.Errorf("requests: got %q, want one", got)
		}
	})
}

// A silent watch is canceled. Before it resumes, a probe checks whether the
// server has reached the resourceVersion, because a watch from a newer one is
// silent too.
func TestWatcher_ProbesAfterAStall(t *testing.T) {
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
		changes := checkRun(t, s, sink, 7*time.Minute,
			[]string{"watch 5", "probe 6", "watch 6", "probe 6", "stream"},
			[]string{"bookmark 6", "begin", "ADDED a@2", "end 3"})
		quiet := func(c watcher.Change) bool { return c.State == watcher.Waiting && c.Reason != history.GapExpired }
		if slices.ContainsFunc(changes, quiet) {
			t.Errorf("changes: got %+v, want none that waits for a silent server", changes)
		}
	})
}

// A server that never sends the end of the initial state is listed in pages.
func TestWatcher_ListsPagesAfterAStalledStream(t *testing.T) {
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
			t.Errorf("requests: got %q, want %q", got, want)
		}
	})
}

func TestWatcher_WaitsForRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{
			status(429, "TooManyRequests", "slow down", "Retry-After", "77"), hang(bookmark(6)),
		}}
		changes, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 2*time.Minute)
		if err != nil || len(s.when) != 2 || s.when[1].Sub(s.when[0]) < 77*time.Second {
			t.Errorf("requests: got them at %v and %v, want two that are 77 s apart", s.when, err)
		}
		if len(changes) != 2 || changes[0].State != watcher.Waiting || changes[1].State != watcher.Watching {
			t.Errorf("changes: got %+v, want waiting and watching", changes)
		}
	})
}

// The delay grows up to RetryAfter, and attempts do not stop.
func TestWatcher_BacksOff(t *testing.T) {
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
		"interrupted before an event": {"5", cut()},
		"lists that do not end":       {"", slow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []http.HandlerFunc{c.answer}}
				if _, err := runScript(t, s, &fakeSink{checkpoint: c.checkpoint}, time.Hour); err != nil {
					t.Error(err)
				}
				if n := len(s.when); n < 100 || n > 300 {
					t.Errorf("requests in an hour: got %d, want one or two about every 30 s", n)
				}
			})
		})
	}
}

// A watch that delivers an event resets the back-off.
func TestWatcher_ResetsTheBackoffAfterAnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := status(500, "", "etcd is down")
		s := &script{
			answers: []http.HandlerFunc{down, down, down, down, down, cut(watchEvent("ADDED", "a", 6)), hang()},
		}
		if _, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 2*time.Minute); err != nil {
			t.Error(err)
		}
		if len(s.when) != 7 || s.when[5].Sub(s.when[4]) < 2*time.Second || s.when[6].Sub(s.when[5]) > time.Second {
			t.Errorf("requests: got them at %v, want growing delays and a short one at the end", s.when)
		}
	})
}

func TestWatcher_RetriesARefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer http.HandlerFunc
		want   string
	}{
		{
			status(403, "Forbidden", `cannot watch resource "configmaps"`),
			"needs the verbs list and watch on configmaps",
		},
		{status(404, "NotFound", "not found"), "does not serve configmaps in version v1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{
				answers: []http.HandlerFunc{c.answer, c.answer, c.answer, hang(watchEvent("MODIFIED", "a", 6))},
			}
			sink := &fakeSink{checkpoint: "5"}
			changes, err := runScript(t, s, sink, 2*time.Minute)
			if err != nil || len(changes) != 2 || !changes[0].Refused || !strings.Contains(changes[0].Detail, c.want) ||
				changes[1].State != watcher.Watching || changes[1].Refused {
				t.Errorf("changes: got %+v and %v, want a refusal with %q and its end", changes, err, c.want)
			}
			if got, want := sink.calls(), []string{"MODIFIED a@6"}; !slices.Equal(got, want) {
				t.Errorf("calls of the sink: got %q, want %q", got, want)
			}
		})
	}
}

// An event that is larger than maxEventSize is reported, not skipped.
func TestWatcher_ReportsAnEventThatIsTooLarge(t *testing.T) {
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
			t.Errorf("changes: got %+v and %v, want one that names the limit", changes, err)
		}
		if got, want := s.requests(), []string{"watch 5", "watch 6"}; !slices.Equal(got, want) {
			t.Errorf("requests: got %q, want %q", got, want)
		}
	})
}

func TestWatcher_CompletesListedObjects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []http.HandlerFunc{
			status(400, "BadRequest", "unknown"),
			lines(`{"metadata":{"resourceVersion":"9"},"items":[{"metadata":{"name":"a","resourceVersion":"8"}}]}`),
			hang(),
		}}
		sink := &fakeSink{}
		if _, err := runScript(t, s, sink, time.Minute); err != nil {
			t.Error(err)
		}
		if len(sink.events) != 1 || string(sink.events[0].Object) != object("a", 8) ||
			sink.events[0].Type != history.Added {
			t.Errorf("events: got %s, want %s", sink.events, object("a", 8))
		}
	})
}

// Between the server's refusal to resume and the list, nothing is observed and
// the sink has no gap yet. So the state is Waiting.
func TestWatcher_WaitsBetweenExpiryAndList(t *testing.T) {
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
			t.Errorf("changes: got %+v, want %v", changes, want)
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
			t.Errorf("changes: got %+v and %v, want waiting and %v", changes, err, full)
		}
	})
}

// The cause of the relist is the one that explains the interruption best, of
// all causes since something was observed.
func TestWatcher_PassesTheCauseOfARelist(t *testing.T) {
	t.Parallel()
	gone := status(410, "Expired", "too old resource version")
	down := status(500, "InternalError", "etcd is down")
	forbidden := status(403, "Forbidden", "no rights")
	fresh := hang(watchEvent("ADDED", "a", 8), initialEnd(9))
	probed := lines(`{}`)
	for name, c := range map[string]struct {
		checkpoint string
		answers    []http.HandlerFunc
		want       history.GapReason
	}{
		"first list": {"", []http.HandlerFunc{fresh}, ""},
		"expired":    {"5", []http.HandlerFunc{gone, fresh}, ""},
		"no answer":  {"5", []http.HandlerFunc{broken, gone, fresh}, history.GapDisconnected},
		"server error": {
			"5", []http.HandlerFunc{broken, down, gone, fresh}, history.GapServerError,
		},
		"no answer after a server error": {
			"5", []http.HandlerFunc{down, broken, gone, fresh}, history.GapServerError,
		},
		"forbidden": {
			"5", []http.HandlerFunc{forbidden, down, gone, fresh}, history.GapForbidden,
		},
		"forgotten after an event": {
			"5", []http.HandlerFunc{forbidden, lines(watchEvent("MODIFIED", "a", 6)), gone, fresh}, "",
		},
		"forgotten after a bookmark": {"5", []http.HandlerFunc{forbidden, lines(bookmark(6)), gone, fresh}, ""},
		"forgotten after it caught up": {
			"5", []http.HandlerFunc{forbidden, after(time.Second, lines()), gone, fresh}, "",
		},
		"list fails before it begins": {"", []http.HandlerFunc{forbidden, fresh}, history.GapForbidden},
		"kept by a probe and an empty watch": {
			"5", []http.HandlerFunc{down, probed, lines(), gone, fresh}, history.GapServerError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sink := &fakeSink{checkpoint: c.checkpoint}
				if _, err := runScript(t, &script{answers: c.answers}, sink, 5*time.Minute); err != nil {
					t.Error(err)
				}
				if len(sink.causes) != 1 || sink.causes[0].Reason != c.want ||
					(sink.causes[0].Detail != "") != (c.want != "") {
					t.Errorf("causes of the lists: got %+v, want one with reason %q", sink.causes, c.want)
				}
			})
		})
	}
}
