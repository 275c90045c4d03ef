package watcher_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// causeStep is a session of a watcher, and how it affects the causes.
type causeStep struct {
	name     string
	answer   func(rv int) http.HandlerFunc // rv is newer than those of earlier steps
	opens    bool                          // the watch opens: a probe before it succeeds
	observes bool                          // the resource is observed before the session ends
	reason   history.GapReason             // of the session's end; empty: it is not a cause
	detail   string                        // a part of the cause's detail
}

// causeSteps returns a step for each way in which a session can end, except for
// a refusal to resume.
func causeSteps() []causeStep {
	fixed := func(h http.HandlerFunc) func(int) http.HandlerFunc { return func(int) http.HandlerFunc { return h } }
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	return []causeStep{
		{
			name: "forbidden", answer: fixed(status(403, "Forbidden", "no rights")),
			reason: history.GapForbidden, detail: "no rights",
		},
		{
			name: "not served", answer: fixed(status(404, "NotFound", "not here")),
			reason: history.GapNotServed, detail: "not here",
		},
		{
			name: "server error", answer: fixed(status(500, "InternalError", "etcd is down")),
			reason: history.GapServerError, detail: "etcd is down",
		},
		{
			name: "connection lost", answer: fixed(cut()), opens: true,
			reason: history.GapDisconnected, detail: "interrupted",
		},
		{name: "no answer", answer: fixed(silent), reason: history.GapDisconnected, detail: "no answer in time"},
		{name: "server lags", answer: fixed(status(504, "Timeout", tooLarge))},
		{
			name: "ended at once", answer: fixed(lines()), opens: true,
			reason: history.GapServerError, detail: "ended the watch at once",
		},
		// A server without bookmarks looks the same, so silence is not a cause.
		{name: "silent", answer: fixed(hang()), opens: true, observes: true},
		{
			name: "event", answer: func(rv int) http.HandlerFunc { return lines(watchEvent("MODIFIED", "a", rv)) },
			opens: true, observes: true,
		},
		{
			name: "bookmark", answer: func(rv int) http.HandlerFunc { return lines(bookmark(rv)) },
			opens: true, observes: true,
		},
		{
			name: "unreadable event", answer: func(int) http.HandlerFunc {
				return lines(watchEvent("MODIFIED", "bad", 1000))
			},
			opens: true, observes: true, reason: history.GapServerError, detail: "it has no UID",
		},
	}
}

// refusal returns a step that refuses to resume the watch. It does not mean
// that the resource was observed.
func refusal() causeStep {
	return causeStep{answer: func(int) http.HandlerFunc { return status(410, "Expired", "too old resource version") }}
}

// lateRefusal returns a refusal after the watcher has assumed that it has
// caught up.
func lateRefusal() causeStep {
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version") + `}`
	return causeStep{opens: true, answer: func(int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			write(w, nil)
			time.Sleep(time.Second)
			write(w, []string{gone})
		}
	}}
}

// causeServer answers the requests of a watcher step by step. The last step is
// a refusal to resume. Then the list succeeds. The watcher sends one request at
// a time.
type causeServer struct {
	mu    sync.Mutex
	steps []causeStep
	next  int
}

func (s *causeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := requestName(r.URL.Query())
	s.mu.Lock()
	n := s.next
	probed := n < len(s.steps) && s.steps[n].opens && strings.HasPrefix(request, "probe")
	if !probed {
		s.next++
	}
	s.mu.Unlock()
	switch {
	case probed:
		write(w, []string{`{}`})
	case request == "stream":
		hang(watchEvent("ADDED", "a", 2000), initialEnd(2001))(w, r)
	case n < len(s.steps):
		s.steps[n].answer(10+n)(w, r)
	default: // the test is over
		<-r.Context().Done()
	}
}

// TestWatcher_PassesTheCauseOfAnySequence lists a resource after each sequence
// of three sessions and a refusal to resume. The list has the best cause since
// the last observation, also if the watcher had reported the same state before
// that observation.
func TestWatcher_PassesTheCauseOfAnySequence(t *testing.T) {
	t.Parallel()
	steps, refusal, lateRefusal := causeSteps(), refusal(), lateRefusal()
	for _, a := range steps {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			for _, b := range steps {
				t.Run(b.name+", refused after a pause", func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { passesCause(t, a, b, lateRefusal) })
				})
				for _, c := range steps {
					t.Run(b.name+", "+c.name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { passesCause(t, a, b, c, refusal) })
					})
				}
			}
		})
	}
}

func passesCause(t *testing.T, steps ...causeStep) {
	t.Helper()
	var want gap.Causes // with a part of the detail
	for _, s := range steps {
		if s.observes {
			want.Reset()
		}
		want.Add(gap.Cause{Reason: s.reason, Detail: s.detail})
	}
	sink := &fakeSink{checkpoint: "5", fail: func(_ context.Context, call string) error {
		if strings.Contains(call, "bad") {
			return history.Errorf(history.Invalid, "it has no UID")
		}
		return nil
	}}
	if _, err := runScript(t, &causeServer{steps: steps}, sink, 30*time.Minute); err != nil {
		t.Error(err)
	}
	best := want.Best()
	if got := sink.causes; len(got) != 1 || got[0].Reason != best.Reason || got[0].None() != best.None() ||
		!strings.Contains(got[0].Detail, best.Detail) {
		t.Errorf("got causes %+v, want one with reason %q and detail %q", got, best.Reason, best.Detail)
	}
}
