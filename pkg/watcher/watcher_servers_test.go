package watcher_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// responder is a server whose answer depends on the request. It records the
// requests.
type responder struct {
	// answer returns the nth answer to a request, which is named by
	// requestName.
	answer func(request string, nth int) http.HandlerFunc

	mu    sync.Mutex
	asked []string
	when  []time.Time
}

func (h *responder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := requestName(r.URL.Query())
	h.mu.Lock()
	h.asked, h.when = append(h.asked, request), append(h.when, time.Now())
	nth := 0
	for _, asked := range h.asked {
		if asked == request {
			nth++
		}
	}
	h.mu.Unlock()
	h.answer(request, nth)(w, r)
}

// requests returns the requests, without repetitions in a row.
func (h *responder) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Compact(slices.Clone(h.asked))
}

// at returns when a request was made for the nth time, or zero if it was not.
func (h *responder) at(request string, nth int) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, asked := range h.asked {
		if asked != request {
			continue
		}
		if nth--; nth == 0 {
			return h.when[i]
		}
	}
	return time.Time{}
}

// count returns the number of these requests.
func (h *responder) count(request string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, asked := range h.asked {
		if asked == request {
			n++
		}
	}
	return n
}

// after begins the answer, and continues with then after d.
func after(d time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		write(w, nil)
		select {
		case <-time.After(d):
			then(w, r)
		case <-r.Context().Done():
		}
	}
}

// broken closes the connection without an answer.
func broken(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// text answers with a body that is not a Status.
func text(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// page answers with a list.
func page(rv int, items ...string) http.HandlerFunc {
	return lines(fmt.Sprintf(`{"metadata":{"resourceVersion":"%d"},"items":[%s]}`, rv, strings.Join(items, ",")))
}

const tooLarge = "Too large resource version: 50, current: 9"

// Each of these behaviours of a server or proxy was seen in practice.
func TestWatcher_HandlesUnusualServers(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version: 5 (9)") + `}`
	fresh := hang(watchEvent("ADDED", "b", 4), watchEvent("ADDED", "a", 8), initialEnd(9),
		watchEvent("MODIFIED", "a", 10))
	synced := []string{"begin", "ADDED b@4", "ADDED a@8", "end 9", "MODIFIED a@10"}
	for _, c := range []struct {
		name       string
		checkpoint string
		answers    map[string][]http.HandlerFunc // by request; the last one is repeated
		requests   []string
		calls      []string
	}{
		{
			"server that ends watches at once is listed", "5",
			map[string][]http.HandlerFunc{"watch 5": {lines()}, "stream": {fresh}},
			[]string{"watch 5", "stream"},
			synced,
		},
		{
			"empty answers of a proxy don't discard the checkpoint", "5",
			map[string][]http.HandlerFunc{
				"watch 5": {lines(), lines(), lines(), lines(), hang(watchEvent("MODIFIED", "a", 6))},
				"stream":  {lines()}, "list 500": {lines()},
				"probe 5": {page(5)},
			},
			[]string{"watch 5", "stream", "list 500", "probe 5", "watch 5"},
			[]string{"MODIFIED a@6"},
		},
		{
			"HTML of a proxy doesn't discard the checkpoint", "5",
			map[string][]http.HandlerFunc{
				"watch 5": {text(200, "text/html", "<html>"), hang(watchEvent("MODIFIED", "a", 6))},
				"probe 5": {text(502, "text/html", "<html>"), page(5)},
			},
			[]string{"watch 5", "probe 5", "watch 5"},
			[]string{"MODIFIED a@6"},
		},
		{
			"HTML of a proxy doesn't begin a list", "",
			map[string][]http.HandlerFunc{
				"stream":   {status(422, "Invalid", "no")},
				"list 500": {text(200, "text/html", "<html>"), text(200, "", "<html>"), page(9)}, "watch 9": {hang()},
			},
			[]string{"stream", "list 500", "watch 9"},
			[]string{"begin", "end 9"},
		},
		{
			"server that lags", "50",
			map[string][]http.HandlerFunc{
				"watch 50": {broken, hang(watchEvent("MODIFIED", "a", 51))},
				"probe 50": {status(504, "Timeout", tooLarge), status(504, "Timeout", tooLarge), page(50)},
			},
			[]string{"watch 50", "probe 50", "watch 50"},
			[]string{"MODIFIED a@51"},
		},
		{
			"server that lags for too long was restored from a backup", "50",
			map[string][]http.HandlerFunc{
				"watch 50": {broken}, "probe 50": {status(504, "Timeout", tooLarge)}, "stream": {fresh},
			},
			[]string{"watch 50", "probe 50", "stream"},
			synced,
		},
		{
			"watch from a resourceVersion that is too large", "50",
			map[string][]http.HandlerFunc{
				"watch 50": {status(504, "Timeout", tooLarge), hang(watchEvent("MODIFIED", "a", 51))},
				"probe 50": {page(50)},
			},
			[]string{"watch 50", "probe 50", "watch 50"},
			[]string{"MODIFIED a@51"},
		},
		{
			"410 with HTML", "5",
			map[string][]http.HandlerFunc{"watch 5": {text(410, "text/html", "<html>")}, "stream": {fresh}},
			[]string{"watch 5", "stream"},
			synced,
		},
		{
			"bookmark without a resourceVersion is ignored", "5",
			map[string][]http.HandlerFunc{
				"watch 5": {hang(`{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{}}}`,
					watchEvent("MODIFIED", "a", 6))},
			},
			[]string{"watch 5"},
			[]string{"MODIFIED a@6"},
		},
		{
			"end of the initial state without a resourceVersion is ignored", "",
			map[string][]http.HandlerFunc{
				"stream": {hang(watchEvent("ADDED", "a", 2),
					`{"type":"BOOKMARK","object":{"metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}`)},
				"list 500": {page(9)}, "watch 9": {hang()},
			},
			[]string{"stream", "list 500", "watch 9"},
			[]string{"begin", "ADDED a@2", "abort", "begin", "end 9"},
		},
		{
			"repeated events and bookmarks don't move back", "5",
			map[string][]http.HandlerFunc{
				"watch 5": {lines(watchEvent("MODIFIED", "a", 8), watchEvent("MODIFIED", "a", 7), bookmark(6))},
				"watch 8": {hang(bookmark(9))},
			},
			[]string{"watch 5", "watch 8"},
			[]string{"MODIFIED a@8", "MODIFIED a@7", "bookmark 9"},
		},
		{
			"page that names itself as the next page", "",
			map[string][]http.HandlerFunc{
				"stream":      {status(422, "Invalid", "no")},
				"list 500":    {lines(`{"metadata":{"resourceVersion":"7","continue":"p2"},"items":[]}`)},
				"list 500 p2": {lines(`{"metadata":{"resourceVersion":"7","continue":"p2"},"items":[]}`)},
				"list":        {page(9, object("a", 8))},
				"watch 9":     {hang()},
			},
			[]string{"stream", "list 500", "list 500 p2", "list", "watch 9"},
			[]string{"begin", "abort", "begin", "ADDED a@8", "end 9"},
		},
		{
			"list that ends early is not complete", "",
			map[string][]http.HandlerFunc{
				"stream":   {status(422, "Invalid", "no")},
				"list 500": {lines(`{"metadata":{"resourceVersion":"7","remainingItemCount":3},"items":[]}`)},
				"list": {lines(`{"metadata":{"resourceVersion":"9",` +
					`"remainingItemCount":3},"items":[` + object("a", 8) + `]}`)},
				"watch 9": {hang()},
			},
			[]string{"stream", "list 500", "list", "watch 9"},
			[]string{"begin", "abort", "begin", "ADDED a@8", "end 9"},
		},
		{
			"server that expires everything at once", "5",
			map[string][]http.HandlerFunc{
				"watch 5": {lines(gone)},
				"watch 9": {lines(gone), lines(gone), hang()},
				"stream":  {lines(initialEnd(9))},
			},
			[]string{"watch 5", "stream", "watch 9", "stream", "watch 9", "stream", "watch 9"},
			[]string{"begin", "end 9", "begin", "end 9", "begin", "end 9"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, sink := &responder{answer: func(request string, nth int) http.HandlerFunc {
					answers := c.answers[request]
					if len(answers) == 0 {
						return status(418, "", "unexpected")
					}
					return answers[min(nth, len(answers))-1]
				}}, &fakeSink{checkpoint: c.checkpoint}
				checkRun(t, s, sink, 2*time.Minute, c.requests, c.calls)
			})
		})
	}
}

// Proxies end idle watches, regularly or not, and without a bookmark before.
func TestWatcher_ReconnectsAtOnceAfterALongWatch(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]http.HandlerFunc{"cut": broken, "ended": lines()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &responder{answer: func(string, int) http.HandlerFunc { return after(30*time.Second, end) }}
				if _, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 301*time.Second); err != nil {
					t.Error(err)
				}
				if n := s.count("watch 5"); n != 11 {
					t.Errorf("watches of 30 s each in 301 s: got %d, want 11 without a pause", n)
				}
			})
		})
	}
}

// The back-off of an outage does not apply to the first answer after it.
func TestWatcher_RelistsAtOnceAfterAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &responder{answer: func(request string, nth int) http.HandlerFunc {
			switch {
			case request == "stream":
				return hang(watchEvent("ADDED", "a", 8), initialEnd(9))
			case nth < 12:
				return broken
			default:
				return status(410, "Expired", "too old resource version: 5 (9)")
			}
		}}
		sink := &fakeSink{checkpoint: "5"}
		if _, err := runScript(t, s, sink, 10*time.Minute); err != nil {
			t.Error(err)
		}
		answered := s.at("probe 5", 12)
		if answered.IsZero() {
			t.Fatalf("requests: got %q, want probes until one is answered", s.requests())
		}
		if waited := s.at("stream", 1).Sub(answered); waited > 0 {
			t.Errorf("delay of the relist: got %s, want none", waited)
		}
	})
}

// A server that answers each watch with 410 must not be listed all the time.
func TestWatcher_BacksOffBetweenRelists(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":` + failure(410, "Expired", "too old resource version") + `}`
	synctest.Test(t, func(t *testing.T) {
		s := &responder{answer: func(request string, _ int) http.HandlerFunc {
			if request == "stream" {
				return lines(initialEnd(9))
			}
			return lines(gone)
		}}
		if _, err := runScript(t, s, &fakeSink{checkpoint: "5"}, time.Hour); err != nil {
			t.Error(err)
		}
		if n := s.count("stream"); n < 60 || n > 200 {
			t.Errorf("relists in an hour: got %d, want one about every 30 s", n)
		}
	})
}

// Retry-After comes in several forms. The delay is bounded.
func TestWatcher_HonorsRetryAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer      func() http.HandlerFunc
		least, most time.Duration
	}{
		"in seconds": {func() http.HandlerFunc {
			return status(429, "TooManyRequests", "slow down", "Retry-After", "77")
		}, 77 * time.Second, 78 * time.Second},
		"as a date": {func() http.HandlerFunc {
			return status(503, "", "back soon", "Retry-After",
				time.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
		}, 89 * time.Second, 91 * time.Second},
		"in the status": {func() http.HandlerFunc {
			return text(504, "application/json",
				`{"kind":"Status","status":"Failure","reason":"Timeout","code":504,"details":{"retryAfterSeconds":40}}`)
		}, 40 * time.Second, 41 * time.Second},
		"for a day": {func() http.HandlerFunc {
			return text(503, "text/html", "<html>") // with the header below
		}, 0, 2*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &responder{answer: func(_ string, nth int) http.HandlerFunc {
					if nth > 1 {
						return hang(bookmark(6))
					}
					answer := c.answer()
					return func(w http.ResponseWriter, r *http.Request) {
						if name == "for a day" {
							w.Header().Set("Retry-After", "86400")
						}
						answer(w, r)
					}
				}}
				if _, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 5*time.Minute); err != nil {
					t.Error(err)
				}
				if len(s.when) < 2 {
					t.Fatalf("requests: got them at %v, want two", s.when)
				}
				if waited := s.when[1].Sub(s.when[0]); waited < c.least || waited > c.most {
					t.Errorf("delay: got %s, want between %s and %s", waited, c.least, c.most)
				}
			})
		})
	}
}

// A request without an answer is not a watch, even after an earlier watch.
func TestWatcher_WaitsWhileTheServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		s := &responder{answer: func(_ string, nth int) http.HandlerFunc {
			if nth == 1 {
				return after(2*time.Minute, lines())
			}
			return silent
		}}
		changes, err := runScript(t, s, &fakeSink{checkpoint: "5"}, 3*time.Minute)
		if n := len(changes); err != nil || n < 2 || changes[0].State != watcher.Watching ||
			changes[1].State != watcher.Waiting ||
			changes[1].Reason != history.GapDisconnected {
			t.Errorf("changes: got %+v and %v, want watching and then disconnected", changes, err)
		}
	})
}

// A detail has the server's own words on one line, without the parts that
// differ between attempts.
func TestChange_DetailHasTheServersWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		cause  history.GapReason
	}{
		"conversion": {
			status(500, "InternalError",
				`conversion webhook for shop/v1, Kind=Cart failed: Post "https://w.shop.svc:443": no endpoints`),
			`conversion webhook for shop/v1, Kind=Cart failed: Post "https://w.shop.svc:443": no endpoints`,
			history.GapServerError,
		},
		"aggregated": {
			text(503, "text/plain", "service\nunavailable\n"),
			"503 Service Unavailable: service unavailable", history.GapServerError,
		},
		"HTML": {
			text(502, "text/html", "<html><body>Bad Gateway"),
			"502 Bad Gateway, with an HTML page", history.GapServerError,
		},
		"no words": {
			text(500, "application/json", `{"kind":"Status","code":500,"reason":"InternalError"}`),
			"the API server reports 500 InternalError", history.GapServerError,
		},
		"long": {
			text(500, "text/plain", strings.Repeat("x", 1<<20)),
			"500 Internal Server Error: " + strings.Repeat("x", 512) + "…", history.GapServerError,
		},
		"unauthorized": {
			status(401, "Unauthorized", "Unauthorized"),
			"the API server rejects the recorder's credentials: Unauthorized", history.GapForbidden,
		},
		"cut": {broken, "EOF", history.GapDisconnected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &responder{answer: func(string, int) http.HandlerFunc { return c.answer }}
				changes, err := runScript(t, s, &fakeSink{checkpoint: "5"}, time.Minute)
				if err != nil || len(changes) != 1 || changes[0].Detail != c.want || changes[0].Reason != c.cause {
					t.Errorf("changes: got %+v and %v, want one with %s: %s", changes, err, c.cause, c.want)
				}
			})
		})
	}
}
