package watcher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// fakeAPI is an API server of resources of the core group, "r0" and so on, in
// the time of a synctest bubble.
type fakeAPI struct {
	resources int
	// discover, if it is set, answers requests of discovery, unless it returns nil.
	discover func() http.HandlerFunc
	// answer returns the answer to a request about a resource, named as by brief, that is made for the nth time.
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
			resources = append(resources, fmt.Sprintf(`{"name":"r%d","kind":"R%d","namespaced":true,"verbs":["list","watch"]}`, i, i))
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

// during runs a set of all the server's resources, and check while it runs.
func (f *fakeAPI) during(t *testing.T, check func(w *testSet)) {
	t.Helper()
	w := &testSet{sinks: map[string]*fakeSink{}}
	for _, name := range f.names() {
		w.sinks[name] = &fakeSink{checkpoint: "5"}
	}
	w.during(t, f, watcher.Targets{Resources: named(f.names()...)}, check)
}

// during runs a set against a server in memory, and check while it runs. It is
// for bubbles of synctest.
func (w *testSet) during(t *testing.T, api http.Handler, targets watcher.Targets, check func(w *testSet)) {
	t.Helper()
	network := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: api, ReadHeaderTimeout: time.Hour}
	served := make(chan error, 1)
	go func() { served <- server.Serve(network) }()
	transport := &http.Transport{DialContext: network.dial}

	opts := watcher.SetOptions{Targets: targets, Open: w.open}
	opts.Logger = slog.New(slog.NewTextHandler(w, nil))
	set, err := watcher.NewSet(&rest.Config{Host: "http://server", Transport: transport}, opts)
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
		t.Errorf("Run returned %v, want nil", err)
	}
	transport.CloseIdleConnections()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	synctest.Wait()
}

// in returns how many resources are in a state.
func (w *testSet) in(state watcher.State) (n int) {
	for _, s := range w.States() {
		if s.State == state {
			n++
		}
	}
	return n
}

// TestSet_RecoversTogether: whoever reaches the server first ends the back-off of all.
func TestSet_RecoversTogether(t *testing.T) {
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
				t.Errorf("%d resources wait, want all 40", n)
			}
			time.Sleep(time.Second + 5*time.Second) // of 40 that wait for 30 s and less, one comes soon
			if n := w.in(watcher.Watching); n != 40 {
				t.Errorf("%d resources are watched 5 s after the outage, want all 40", n)
			}
		})
	})
}

// TestSet_LogsOneLinePerCause: and each cause, also one that replaces another.
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
				{"level=WARN", `msg="watch failed, retrying"`, "count=40", "reason=forbidden", "rejects the recorder's credentials: Unauthorized"},
			} {
				if n := w.logged(want...); n != 1 {
					t.Errorf("logged %q %d times, want once", want, n)
				}
			}
			if n := w.logged("level="); n > 4 {
				t.Errorf("%d lines, want one for each cause: %s", n, w.log.String())
			}
		})
	})
}

// TestSet_LogsOneLineOfAFaultThatSpreads lets the watches break within half a
// second, so that some are due to be logged and others not yet.
func TestSet_LogsOneLineOfAFaultThatSpreads(t *testing.T) {
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
				t.Errorf("got %d lines of 40 resources, want one:\n%s", n, w.log.String())
			}
		})
	})
}

// TestSet_LogsNothingOfWhatIsUsual: the server asks to come later while it establishes a CRD, and proxies end idle watches.
func TestSet_LogsNothingOfWhatIsUsual(t *testing.T) {
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
						t.Errorf("%d warnings, want %d", n, c.warns)
					}
					if n := w.logged("level=WARN"); n != c.warns {
						t.Errorf("logged %s", w.log.String())
					}
				})
			})
		})
	}
}

// TestSet_DiscoveryThatHangsIsGivenUp: and what was known goes on.
func TestSet_DiscoveryThatHangsIsGivenUp(t *testing.T) {
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
			if got := w.Troubles(); len(got) != 1 || got[0].Reason != history.GapDisconnected || !strings.Contains(got[0].Detail, "no answer in time") {
				t.Errorf("troubles %+v, want that discovery is not answered", got)
			}
			time.Sleep(5 * time.Minute)
			if n := w.in(watcher.Watching); n != 1 || len(w.Troubles()) != 0 {
				t.Errorf("states %+v, troubles %+v, want that it is watched", w.States(), w.Troubles())
			}
		})
	})
}
