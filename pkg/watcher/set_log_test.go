package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// fakeAPI is an API server with the resources "r0", "r1" and so on of the core
// group. It runs in a synctest bubble.
type fakeAPI struct {
	resources int
	// discover answers requests of discovery, unless it is nil or returns nil.
	discover func() http.HandlerFunc
	// answer returns the nth answer to a request for a resource. The request is
	// named by requestName.
	answer func(plural, request string, nth int) http.HandlerFunc

	mu    sync.Mutex
	asked map[string]int
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if answer := f.discovery(r.URL.Path); answer != nil {
		answer(w, r)
		return
	}
	plural, request := path.Base(r.URL.Path), requestName(r.URL.Query())
	f.mu.Lock()
	if f.asked == nil {
		f.asked = map[string]int{}
	}
	f.asked[plural+" "+request]++
	nth := f.asked[plural+" "+request]
	f.mu.Unlock()
	f.answer(plural, request, nth)(w, r)
}

func (f *fakeAPI) discovery(of string) http.HandlerFunc {
	var body string
	switch of {
	case "/api":
		body = `{"kind":"APIVersions","versions":["v1"]}`
	case "/apis":
		body = `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`
	case "/api/v1":
		var resources []string
		for i := range f.resources {
			resources = append(resources,
				fmt.Sprintf(`{"name":"r%d","kind":"R%d","namespaced":true,"verbs":["list","watch"]}`, i, i))
		}
		body = `{"kind":"APIResourceList","groupVersion":"v1","resources":[` + strings.Join(resources, ",") + `]}`
	default:
		return nil
	}
	if f.discover != nil {
		if answer := f.discover(); answer != nil {
			return answer
		}
	}
	return text(http.StatusOK, "application/json", body)
}

func (f *fakeAPI) names() (all []string) {
	for i := range f.resources {
		all = append(all, fmt.Sprint("r", i))
	}
	return all
}

// during runs a set of all resources of the server, and calls check while it
// runs.
func (f *fakeAPI) during(t *testing.T, check func(w *testSet)) {
	t.Helper()
	w := &testSet{sinks: map[string]*fakeSink{}}
	for _, name := range f.names() {
		w.sinks[name] = &fakeSink{checkpoint: "5"}
	}
	w.during(t, f, watcher.Targets{Resources: named(f.names()...)}, check)
}

// during runs a set against a server in memory, and calls check while it runs.
// It is for synctest bubbles.
func (w *testSet) during(t *testing.T, api http.Handler, targets watcher.Targets, check func(w *testSet)) {
	t.Helper()
	network := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: api, ReadHeaderTimeout: time.Hour}
	served := make(chan error, 1)
	go func() { served <- server.Serve(network) }()
	transport := &http.Transport{DialContext: network.dial}

	opts := watcher.SetOptions{Targets: targets, Open: w.open, Documents: w.documents}
	opts.Logger = slog.New(slog.NewTextHandler(w, nil))
	set, err := watcher.NewSet(&rest.Config{Host: "http://server" + w.prefix, Transport: transport}, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.Set = set
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	check(w)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v, want nil", err)
	}
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Errorf("close the server: %v", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serve: got %v, want %v", err, http.ErrServerClosed)
	}
	synctest.Wait()
}

// in returns the number of resources that are in a state.
func (w *testSet) in(state watcher.State) (n int) {
	for _, s := range w.States() {
		if s.State == state {
			n++
		}
	}
	return n
}

// The first watcher that reaches the server ends the back-off of all.
func TestSet_AllWatchersRecoverTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(10 * time.Minute)
		s := &fakeAPI{resources: 40, answer: func(_, request string, _ int) http.HandlerFunc {
			switch {
			case time.Now().Before(back):
				return broken
			case strings.HasPrefix(request, "probe"):
				return page(5)
			default:
				return hang()
			}
		}}
		s.during(t, func(w *testSet) {
			time.Sleep(time.Until(back) - time.Second)
			if n := w.in(watcher.Waiting); n != 40 {
				t.Errorf("waiting resources: got %d, want 40", n)
			}
			time.Sleep(time.Second + 5*time.Second) // one of 40 back-offs of up to 30 s ends soon
			if n := w.in(watcher.Watching); n != 40 {
				t.Errorf("watched resources 5 s after the outage: got %d, want 40", n)
			}
		})
	})
}

// A cause that replaces another one is logged too.
func TestSet_LogsOneLinePerCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeAPI{resources: 40, answer: func(_, request string, nth int) http.HandlerFunc {
			switch {
			case nth == 1 && strings.HasPrefix(request, "watch"):
				return after(time.Minute, cut())
			case nth < 4:
				return broken
			default:
				return status(401, "Unauthorized", "Unauthorized")
			}
		}}
		s.during(t, func(w *testSet) {
			time.Sleep(10 * time.Minute)
			for _, want := range [][]string{
				{"level=INFO", `msg=watching `, "count=40", "r0,r1,r10,"},
				{"level=WARN", `msg="watch failed, retrying"`, "count=40", "reason=disconnected", "err=EOF"},
				{
					"level=WARN", `msg="watch failed, retrying"`, "count=40",
					"reason=forbidden", "rejects the recorder's credentials: Unauthorized",
				},
			} {
				if n := w.logged(want...); n != 1 {
					t.Errorf("lines with %q: got %d, want 1", want, n)
				}
			}
			if n := w.logged("level="); n > 4 {
				t.Errorf("lines: got %d, want at most 4:\n%s", n, w.log.String())
			}
		})
	})
}

// The watches fail within half a second, so that some failures are old enough
// to be logged and others are not yet.
func TestSet_LogsOneLineForAFailureThatSpreads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeAPI{resources: 40, answer: func(plural, request string, nth int) http.HandlerFunc {
			n, _ := strconv.Atoi(strings.TrimPrefix(plural, "r"))
			if nth == 1 && strings.HasPrefix(request, "watch") {
				return after(time.Minute+time.Duration(n)*13*time.Millisecond, cut())
			}
			return broken
		}}
		s.during(t, func(w *testSet) {
			time.Sleep(10 * time.Minute)
			if n := w.logged("level=WARN", "count=40"); n != 1 || w.logged("level=WARN") != 1 {
				t.Errorf("lines about 40 resources: got %d, want 1 and no other warning:\n%s", n, w.log.String())
			}
		})
	})
}

// The API server asks to retry later while it establishes a CRD, and proxies
// end idle watches.
func TestSet_DoesNotLogUsualFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		busy  time.Duration
		warns int
	}{"for a moment": {5 * time.Second, 0}, "for long": {5 * time.Minute, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &fakeAPI{resources: 400, answer: func(_, _ string, nth int) http.HandlerFunc {
					if time.Since(began) < c.busy {
						return status(429, "TooManyRequests", "storage is (re)initializing", "Retry-After", "1")
					}
					return after(40*time.Second, broken)
				}}
				s.during(t, func(w *testSet) {
					time.Sleep(20 * time.Minute)
					if n := w.logged("level=WARN", "count=400", "(re)initializing"); n != c.warns {
						t.Errorf("warnings about 400 resources: got %d, want %d", n, c.warns)
					}
					if n := w.logged("level=WARN"); n != c.warns {
						t.Errorf("warnings: got %d, want %d:\n%s", n, c.warns, w.log.String())
					}
				})
			})
		})
	}
}

func TestSet_DiscoveryHasATimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := time.Now().Add(5 * time.Minute)
		s := &fakeAPI{resources: 1, discover: func() http.HandlerFunc {
			if time.Now().After(hangs) {
				return nil
			}
			return func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		}, answer: func(string, string, int) http.HandlerFunc { return hang() }}
		s.during(t, func(w *testSet) {
			time.Sleep(2 * time.Minute)
			if got := w.Troubles(); len(got) != 1 || got[0].Reason != history.GapDisconnected ||
				!strings.Contains(got[0].Detail, "no answer in time") {
				t.Errorf("troubles: got %+v, want that discovery has no answer in time", got)
			}
			time.Sleep(5 * time.Minute)
			if n := w.in(watcher.Watching); n != 1 || len(w.Troubles()) != 0 {
				t.Errorf("got states %+v and troubles %+v, want one watched resource and no trouble",
					w.States(), w.Troubles())
			}
		})
	})
}

// expiring returns a server with one resource. It answers watches with refusal
// while refused is true, and with 410 otherwise.
func expiring(refused *atomic.Bool, refusal http.HandlerFunc) *fakeAPI {
	return &fakeAPI{resources: 1, answer: func(_, request string, _ int) http.HandlerFunc {
		switch {
		case refused.Load():
			return refusal
		case request == "stream":
			return hang(initialEnd(9))
		default:
			return status(410, "Expired", "too old resource version")
		}
	}}
}

// causes returns the causes of the lists of a resource.
func (w *testSet) causes(gr string) []gap.Cause {
	w.mu.Lock()
	sink := w.sink(gr)
	w.mu.Unlock()
	sink.mu.Lock()
	defer sink.mu.Unlock()
	return slices.Clone(sink.causes)
}

func TestSet_PassesTheCauseOfOpenToTheRelist(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ignored := gap.Cause{Reason: history.GapNotConfigured, Detail: "it was ignored"}
		w := &testSet{missed: ignored, sinks: map[string]*fakeSink{"r0": {checkpoint: "5"}}}
		w.during(t, expiring(new(atomic.Bool), nil), watcher.Targets{Resources: named("r0")}, func(w *testSet) {
			time.Sleep(time.Minute)
			if got := w.causes("r0"); !slices.Equal(got, []gap.Cause{ignored}) {
				t.Errorf("causes of the lists: got %+v, want %+v", got, ignored)
			}
		})
	})
}

// The reason that a resource can't be recorded is a fact without the hint. The
// log has both.
func TestSet_LogsWhyAResourceCannotBeRecorded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := history.Errorf(history.Invalid, "limit reached")
		w := &testSet{sinks: map[string]*fakeSink{}, refusal: map[string]error{
			"r0": full, "r1": history.WithHint(full, "Use another directory."),
		}}
		w.during(t, &fakeAPI{resources: 2}, watcher.Targets{Resources: named("r0", "r1")}, func(w *testSet) {
			time.Sleep(time.Minute)
			for resource, hint := range map[string]string{"r0": "\n", "r1": ` hint="Use another directory."` + "\n"} {
				if n := w.logged("level=ERROR", "resource="+resource+` err="limit reached"`+hint); n != 1 {
					t.Errorf("lines about %s: got %d, want one that ends with %q:\n%s",
						resource, n, hint, w.log.String())
				}
				if s, _ := w.state(resource); s.Detail != "limit reached" {
					t.Errorf("reason of %s: got %q, want limit reached", resource, s.Detail)
				}
			}
		})
	})
}

// A resource that is removed and added again has another watcher and the same
// sink.
func TestSet_KeepsTheCauseForTheNextWatcher(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var refused atomic.Bool
		refused.Store(true)
		api := expiring(&refused, status(403, "Forbidden", "no rights"))
		w := &testSet{sinks: map[string]*fakeSink{"r0": {checkpoint: "5"}}}
		w.during(t, api, watcher.Targets{Resources: named("r0")}, func(w *testSet) {
			time.Sleep(time.Minute)
			w.Configure(watcher.Targets{})
			time.Sleep(time.Minute)
			refused.Store(false)
			w.Configure(watcher.Targets{Resources: named("r0")})
			time.Sleep(time.Minute)
			if got := w.causes("r0"); len(got) != 1 || got[0].Reason != history.GapForbidden {
				t.Errorf("causes of the lists: got %+v, want one with reason %s", got, history.GapForbidden)
			}
		})
	})
}
