package watcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// fakeDiscovery is an API server that serves any set of resources without
// objects. change modifies it while it runs.
type fakeDiscovery struct {
	mu      sync.Mutex
	served  map[string][]string      // plurals by "v1" or "group/version"; "pods-" can only be listed
	down    map[string]bool          // group versions whose discovery and requests fail
	refuse  map[string]int           // plurals whose requests get this status
	delay   map[string]time.Duration // of that answer, by plural
	events  map[string][]string      // events of the next watch of a plural, after its initial state
	watches map[string]context.CancelFunc
}

func newFakeDiscovery(served map[string][]string) *fakeDiscovery {
	return &fakeDiscovery{
		served: served, down: map[string]bool{}, refuse: map[string]int{}, events: map[string][]string{},
		delay: map[string]time.Duration{}, watches: map[string]context.CancelFunc{},
	}
}

// sleep waits until the time has passed, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// change modifies the server.
func (c *fakeDiscovery) change(modify func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	modify()
}

// cut ends the watch of a resource.
func (c *fakeDiscovery) cut(plural string) { c.change(c.watches[plural]) }

func (c *fakeDiscovery) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	gv := strings.Join(path[1:min(len(path), 3)], "/")
	if path[0] == "api" {
		gv = "v1"
	}
	plural := path[len(path)-1]
	c.mu.Lock()
	down, refused, delay := c.down[gv], c.refuse[plural], c.delay[plural]
	c.mu.Unlock()
	switch {
	case r.URL.Path == "/api" || r.URL.Path == "/apis":
		c.groups(w, r.URL.Path == "/api")
	case down:
		status(http.StatusServiceUnavailable, "ServiceUnavailable", "the server is down")(w, r)
	case strings.HasSuffix(gv, plural):
		c.resources(w, gv)
	case refused != 0:
		sleep(r.Context(), delay)
		status(refused, string(reasons[refused]), "it is refused")(w, r)
	default:
		c.watch(w, r, plural)
	}
}

var reasons = map[int]metav1.StatusReason{
	http.StatusForbidden: metav1.StatusReasonForbidden, http.StatusNotFound: metav1.StatusReasonNotFound,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
}

// groups answers /api or /apis like a server without aggregated discovery.
func (c *fakeDiscovery) groups(w http.ResponseWriter, core bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if core {
		_ = json.NewEncoder(w).Encode(metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
		})
		return
	}
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList"}}
	byGroup := map[string][]metav1.GroupVersionForDiscovery{}
	for gv := range c.served {
		if group, version, ok := strings.Cut(gv, "/"); ok {
			byGroup[group] = append(byGroup[group], metav1.GroupVersionForDiscovery{GroupVersion: gv, Version: version})
		}
	}
	for _, group := range slices.Sorted(maps.Keys(byGroup)) {
		versions := byGroup[group]
		slices.SortFunc(versions, func(a, b metav1.GroupVersionForDiscovery) int {
			return len(a.Version) - len(b.Version)
		})
		list.Groups = append(list.Groups,
			metav1.APIGroup{Name: group, Versions: versions, PreferredVersion: versions[0]})
	}
	_ = json.NewEncoder(w).Encode(list)
}

func (c *fakeDiscovery) resources(w http.ResponseWriter, gv string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList"}, GroupVersion: gv}
	for _, plural := range c.served[gv] {
		verbs := metav1.Verbs{"list", "watch"}
		if strings.HasSuffix(plural, "-") {
			verbs = metav1.Verbs{"list"}
		}
		plural = strings.TrimSuffix(plural, "-")
		list.APIResources = append(list.APIResources,
			metav1.APIResource{Name: plural, Kind: "Kind of " + plural, Verbs: verbs, Namespaced: true})
	}
	_ = json.NewEncoder(w).Encode(list)
}

// watch answers with an empty initial state, and then with a bookmark each
// minute.
func (c *fakeDiscovery) watch(w http.ResponseWriter, r *http.Request, plural string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c.mu.Lock()
	c.watches[plural] = cancel
	events := c.events[plural]
	delete(c.events, plural)
	c.mu.Unlock()
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		events = append([]string{initialEnd(1)}, events...)
	}
	write(w, events)
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-minute.C:
			write(w, []string{bookmark(1)})
		}
	}
}

// discover runs a set against the server in a synctest bubble, and calls test
// when the set has started its watchers.
func discover(t *testing.T, api *fakeDiscovery, targets watcher.Targets, test func(w *testSet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &testSet{sinks: map[string]*fakeSink{}}
		w.during(t, api, targets, func(w *testSet) {
			time.Sleep(5 * time.Second)
			synctest.Wait()
			test(w)
		})
	})
}

// all returns "RESOURCE STATE" for every resource that has a state, and
// "RESOURCE REASON" for every other one, sorted.
func (w *testSet) all() []string {
	var all []string
	for _, s := range w.States() {
		all = append(all, fmt.Sprint(s.Resource.GroupResource(), " ", s.State))
	}
	for _, u := range w.Unwatched() {
		all = append(all, fmt.Sprint(u.Resource.GroupResource(), " ", u.Reason))
	}
	slices.Sort(all)
	return all
}

// expect compares the states of all resources.
func (w *testSet) expect(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := w.all(); !slices.Equal(got, want) {
		t.Errorf("resources\n got %q\nwant %q", got, want)
	}
}

func denyLeases(r schema.GroupResource, _ bool) string {
	if r.Resource == "leases" {
		return "leases are denied"
	}
	return ""
}

func TestDiscoverAll_WatchesEachKindOnceInThePreferredVersion(t *testing.T) {
	api := newFakeDiscovery(map[string][]string{
		"v1":                        {"pods", "events", "secrets", "componentstatuses-"},
		"events.k8s.io/v1":          {"events"},
		"autoscaling/v2":            {"horizontalpodautoscalers"},
		"autoscaling/v1beta1":       {"horizontalpodautoscalers"},
		"coordination.k8s.io/v1":    {"leases"},
		"metrics.k8s.io/v1beta1":    {"pods-"},
		"apiextensions.k8s.io/v1":   {"customresourcedefinitions"},
		"rbac.authorization.k8s/v1": {"roles"},
	})
	api.refuse["roles"] = http.StatusForbidden
	targets := watcher.Targets{
		Resources: []history.Resource{{Version: "v1", Plural: "pods"}}, DiscoverCRDs: true,
		DiscoverAll: true, Denied: denyLeases,
		Excluded: []schema.GroupResource{{Resource: "secrets"}},
	}
	discover(t, api, targets, func(w *testSet) {
		w.expect(t,
			"pods watching", "events watching", "secrets ignored", "componentstatuses not_watchable",
			"horizontalpodautoscalers.autoscaling watching", "leases.coordination.k8s.io excluded",
			"pods.metrics.k8s.io not_watchable", "customresourcedefinitions.apiextensions.k8s.io watching",
			"roles.rbac.authorization.k8s waiting")
		if got := w.opens("horizontalpodautoscalers.autoscaling"); !slices.Equal(got, []string{"v2"}) {
			t.Errorf("versions of autoscalers: got %q, want v2", got)
		}
		roles, _ := w.state("roles.rbac.authorization.k8s")
		if roles.Configured || roles.Reason != history.GapForbidden {
			t.Errorf("state of roles: got %+v, want them forbidden and not configured", roles)
		}
		if got := w.Troubles(); len(got) > 0 {
			t.Errorf("troubles: got %+v, want none", got)
		}
	})
}

func TestDiscoverAll_LogsForbiddenKindsInOneLine(t *testing.T) {
	var plurals []string
	for i := range 40 {
		plurals = append(plurals, fmt.Sprint("kinds", i))
	}
	api := newFakeDiscovery(map[string][]string{"v1": {"pods"}, "example.com/v1": plurals})
	for _, plural := range plurals {
		api.refuse[plural] = http.StatusForbidden
	}
	discover(t, api, watcher.Targets{DiscoverAll: true}, func(w *testSet) {
		if n := w.logged("level=WARN"); n != 1 {
			t.Errorf("warnings: got %d, want 1:\n%s", n, w.log.String())
		}
		if n := w.logged("count=40", "kinds39.example.com"); n != 1 {
			t.Errorf("lines about 40 resources: got %d, want 1:\n%s", n, w.log.String())
		}
		time.Sleep(time.Hour)
		if n := w.logged("level=WARN"); n != 1 {
			t.Errorf("warnings after an hour: got %d, want 1:\n%s", n, w.log.String())
		}
	})
}

// The API server may refuse the resources one after another.
func TestDiscoverAll_LogsSlowlyForbiddenKindsInOneLine(t *testing.T) {
	api := newFakeDiscovery(map[string][]string{"v1": {"pods"}})
	for i := range 40 {
		plural := fmt.Sprint("kinds", i)
		api.served["example.com/v1"] = append(api.served["example.com/v1"], plural)
		api.refuse[plural], api.delay[plural] = http.StatusForbidden, time.Duration(i)*200*time.Millisecond
	}
	discover(t, api, watcher.Targets{DiscoverAll: true}, func(w *testSet) {
		time.Sleep(time.Minute)
		if n := w.logged("level=WARN"); n != 1 {
			t.Errorf("warnings: got %d, want 1:\n%s", n, w.log.String())
		}
		if n := w.logged("count=40", "kinds39.example.com"); n != 1 {
			t.Errorf("lines about 40 resources: got %d, want 1:\n%s", n, w.log.String())
		}
	})
}

// Discovery does not return a group whose server is down. Its resources stay
// known, and their watches continue.
func TestDiscoverAll_KeepsGroupsThatCannotBeDiscovered(t *testing.T) {
	api := newFakeDiscovery(map[string][]string{
		"v1": {"pods"}, "example.com/v1": {"lamps", "leases", "readings-"},
		"apiregistration.k8s.io/v1": {"apiservices"},
	})
	discover(t, api, watcher.Targets{DiscoverAll: true, Denied: denyLeases}, func(w *testSet) {
		api.change(func() { api.down["example.com/v1"] = true })
		time.Sleep(20 * time.Minute)
		w.expect(t, "pods watching", "lamps.example.com watching", "apiservices.apiregistration.k8s.io watching",
			"leases.example.com excluded", "readings.example.com not_watchable")
		api.cut("lamps")
		time.Sleep(time.Minute)
		w.expect(t, "pods watching", "lamps.example.com waiting", "apiservices.apiregistration.k8s.io watching",
			"leases.example.com excluded", "readings.example.com not_watchable")
		api.change(func() { clear(api.down) })
		time.Sleep(time.Minute)
		w.expect(t, "pods watching", "lamps.example.com watching", "apiservices.apiregistration.k8s.io watching",
			"leases.example.com excluded", "readings.example.com not_watchable")
		if got := w.opens("lamps.example.com"); len(got) != 1 {
			t.Errorf("sinks of lamps: got %d opened, want 1", len(got))
		}
	})
}

func TestDiscoverAll_StopsResourcesThatAreNotServedAnyMore(t *testing.T) {
	api := newFakeDiscovery(map[string][]string{
		"v1": {"pods"}, "example.com/v1": {"lamps"}, "apiregistration.k8s.io/v1": {"apiservices"},
	})
	discover(t, api, watcher.Targets{DiscoverAll: true}, func(w *testSet) {
		// While an API server starts, its answer may lack a group without an
		// error. The watch continues.
		api.change(func() { delete(api.served, "example.com/v1") })
		time.Sleep(20 * time.Minute)
		w.expect(t, "pods watching", "lamps.example.com watching", "apiservices.apiregistration.k8s.io watching")
		api.change(func() { api.refuse["lamps"] = http.StatusNotFound })
		api.cut("lamps")
		time.Sleep(time.Minute)
		w.expect(t, "pods watching", "apiservices.apiregistration.k8s.io watching")
		if got := w.Absence(schema.GroupResource{Group: "example.com", Resource: "lamps"}); !got.None() {
			t.Errorf("absence of lamps: got %+v, want none", got)
		}

		api.change(func() {
			clear(api.refuse)
			api.served["example.com/v1"] = []string{"lamps"}
			api.events["apiservices"] = []string{watchEvent("ADDED", "v1.example.com", 7)}
		})
		api.cut("apiservices") // its next watch delivers the event
		time.Sleep(10 * time.Second)
		w.expect(t, "pods watching", "lamps.example.com watching", "apiservices.apiregistration.k8s.io watching")
	})
}

// The watch of the CRDs fails, and the other resources are watched.
func TestDiscoverAll_DoesNotWaitForCRDsThatCannotBeRead(t *testing.T) {
	for status, within := range map[int]time.Duration{
		http.StatusInternalServerError: 20 * time.Second, http.StatusForbidden: time.Second,
	} {
		api := newFakeDiscovery(map[string][]string{
			"v1": {"pods"}, "example.com/v1": {"lamps"}, "apiextensions.k8s.io/v1": {"customresourcedefinitions"},
		})
		api.refuse["customresourcedefinitions"] = status
		discover(t, api, watcher.Targets{DiscoverAll: true, DiscoverCRDs: true}, func(w *testSet) {
			time.Sleep(within)
			w.expect(t, "pods watching", "lamps.example.com watching",
				"customresourcedefinitions.apiextensions.k8s.io waiting")
		})
	}
}

func TestUnwatched_ReturnsTheReason(t *testing.T) {
	api := newFakeDiscovery(map[string][]string{
		"v1": {"pods", "secrets", "services"}, "coordination.k8s.io/v1": {"leases"},
	})
	targets := watcher.Targets{Resources: named("pods"), Denied: denyLeases}
	discover(t, api, targets, func(w *testSet) {
		w.expect(t, "pods watching", "secrets not_configured", "services not_configured",
			"leases.coordination.k8s.io not_configured")
		everything := targets
		everything.DiscoverAll = true
		w.Configure(everything)
		time.Sleep(10 * time.Second)
		w.expect(t, "pods watching", "secrets watching", "services watching", "leases.coordination.k8s.io excluded")
		leases := schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
		if got := w.Absence(leases); got.Reason != history.GapNotConfigured || got.Detail != "leases are denied" {
			t.Errorf("absence of leases: got %+v, want %s because they are denied", got, history.GapNotConfigured)
		}
		everything.Resources = append(everything.Resources,
			history.Resource{Group: leases.Group, Plural: leases.Resource})
		w.Configure(everything)
		time.Sleep(10 * time.Second)
		w.expect(t, "pods watching", "secrets watching", "services watching", "leases.coordination.k8s.io watching")
		w.Configure(targets)
		time.Sleep(10 * time.Second)
		w.expect(t, "pods watching", "secrets not_configured", "services not_configured",
			"leases.coordination.k8s.io not_configured")
	})
}
