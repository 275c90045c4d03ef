package scale_test

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

var (
	accessVersions = flag.Int("access-versions", 4000,
		"number of versions of the log that restricted callers query; make bench-access uses 1,000,000")
	accessNamespaces = flag.Int("access-namespaces", 20,
		"number of namespaces of that log; make bench-access uses 200")
	accessQueries = flag.Int("access-queries", 2,
		"number of runs of each query of each caller; make bench-access uses 40")
	accessOnly   = flag.String("access-only", "", "ask only questions whose names contain this")
	accessCaller = flag.String("access-caller", "", "ask only as callers whose names contain this")
)

// question is a request that is sent repeatedly, with other arguments each
// time.
type question struct {
	name string
	// path returns the next request. at is a time in the second half of the
	// log, and earlier one an hour before.
	path func(at, earlier string) string
	// resources and namespaces are how many the question is about. names means
	// that it names an object.
	resources, namespaces int
	names                 bool
}

// questions returns the questions that are measured. Those about one namespace
// or object are about the one in which most callers have rights.
func questions(g *tenants) []question {
	kinds, all := len(g.kinds), g.namespaces
	pod, deployment := g.example(tenantPods, 0), g.example(tenantDeployments, 0)
	ns := "&namespace=" + g.namespace(0)
	events := func(rest string) func(at, _ string) string {
		return func(at, _ string) string {
			return v1.EventsPath + "?empty=200&limit=100&order=desc&end=" + at + rest
		}
	}
	folded := func(rest string) func(at, _ string) string {
		return func(at, _ string) string {
			return v1.EventsPath + "?empty=200&limit=500&fold=true&order=desc&end=" + at + rest
		}
	}
	fixed := func(path string) func(at, _ string) string { return func(_, _ string) string { return path } }
	state := func(rest string) func(at, _ string) string {
		return func(at, _ string) string { return v1.StatePath + "?limit=100&at=" + at + rest }
	}
	compare := func(rest string) func(at, earlier string) string {
		return func(at, earlier string) string {
			return v1.ComparePath + "?limit=100&from=" + earlier + "&to=" + at + rest
		}
	}
	whyOf := func(of history.ObjectRef) func(at, _ string) string {
		return func(at, _ string) string {
			return v1.WhyRoot + "/" + of.Namespace + "/" + of.Resource + "/" + of.Name + "?at=" + at
		}
	}
	object := func(kind, name string) string { return v1.EventsPath + "/" + g.namespace(0) + "/" + kind + "/" + name }
	q := url.QueryEscape(`object.metadata.labels.tier == "t1" && verb != "create"`)
	return []question{
		{"events", events(""), kinds, all, false},
		{"events, summary", events("&summary=true"), kinds, all, false},
		{"events, oldest first", func(_, earlier string) string {
			return v1.EventsPath + "?empty=200&limit=100&start=" + earlier
		}, kinds, all, false},
		{"events, namespace", events(ns), kinds, 1, false},
		{"events, resource", events("&resourceType=configmaps"), 1, all, false},
		{"events, both", events(ns + "&resourceType=pods"), 1, 1, false},
		{"events, name", events("&resourceName=configmap-1"), kinds, all, true},
		{"events, folded", folded(""), kinds, all, false},
		{"events, folded, namespace", folded(ns), kinds, 1, false},
		{"events, q", events("&q=" + q), kinds, all, false},
		{"object", fixed(object("pods", pod.Name) + "?limit=100&empty=200"), 2, 1, true},
		{
			"descendants", fixed(object("deployments", deployment.Name) + "?limit=100&descendants=true&empty=200"),
			kinds, 1, true,
		},
		{"resources", fixed(v1.ResourcesPath), kinds, all, false},
		{"gaps", fixed(v1.GapsPath), kinds, all, false},
		{"state", state(""), kinds, all, false},
		{"state, namespace", state(ns), kinds, 1, false},
		{"state, object", state(ns + "&resourceType=pods&resourceName=" + pod.Name), 1, 1, true},
		{"compare", compare(""), kinds, all, false},
		{"compare, namespace", compare(ns), kinds, 1, false},
		{"why", whyOf(deployment), kinds, 1, true},
		{"why, pod", whyOf(pod), kinds, 1, true},
	}
}

// TestAccess_CostsLittle asks the same questions as an administrator, as
// callers with restricted rights, and without authorization. It bounds the
// number of reviews, and logs the times.
func TestAccess_CostsLittle(t *testing.T) {
	g := newTenants(*accessNamespaces, *accessVersions)
	began := time.Now()
	recording := g.fill(t, t.TempDir())
	t.Logf("recorded %d versions in %d namespaces in %v, of which the log took %v",
		g.versions, g.namespaces, time.Since(began).Round(time.Second), recording.Round(time.Second))
	server := &apiServer{readers: map[string]reader{}, namespaces: map[string]time.Time{}}
	for n := range g.namespaces {
		server.namespaces[g.namespace(n)] = g.created(n)
	}
	heads := []string{"page of"}
	callers := []reader{{name: "no authorization"}}
	for _, r := range readersOf(g) {
		server.readers[r.name] = r
		callers = append(callers, r)
	}
	callers = slices.DeleteFunc(callers, func(r reader) bool { return !strings.Contains(r.name, *accessCaller) })
	for _, r := range callers {
		heads = append(heads, r.name)
	}
	gated, open := newHandler(t, g, server)
	first, median, worst := table{heads}, table{heads}, table{heads}
	for _, q := range questions(g) {
		if !strings.Contains(q.name, *accessOnly) {
			continue
		}
		var cold, p50, p99 []any
		for _, caller := range callers {
			handler := gated
			if caller.may == nil {
				handler = open
			}
			times := q.run(t, g, handler, server, caller.name)
			cold = append(cold, "%v", times[0].Round(100*time.Microsecond))
			p50 = append(p50, "%v", percentile(times[1:], 50).Round(100*time.Microsecond))
			p99 = append(p99, "%v", percentile(times[1:], 99).Round(100*time.Microsecond))
		}
		first.add(q.name, cold...)
		median.add(q.name, p50...)
		worst.add(q.name, p99...)
	}
	t.Logf("first time, with reviews: %s\nmedian: %s\n99th percentile: %s", first, median, worst)
}

// run asks a question as a caller repeatedly, and returns the times. It bounds
// the number of reviews. Later answers need none but those of Secrets.
func (q question) run(t *testing.T, g *tenants, h http.Handler, s *apiServer, caller string) (times []time.Duration) {
	t.Helper()
	rng := rand.New(rand.NewPCG(2, uint64(g.versions))) //nolint:gosec // the same questions for all callers
	half := g.versions / 2
	for run := range *accessQueries + 1 {
		n := half + rng.IntN(half)
		at := url.QueryEscape(g.at(n).Format(time.RFC3339Nano))
		path := q.path(at, url.QueryEscape(g.at(n).Add(-time.Hour).Format(time.RFC3339Nano)))
		before := s.reviews.Load()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+caller)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		began := time.Now()
		h.ServeHTTP(w, r)
		times = append(times, time.Since(began))
		if w.Code != http.StatusOK && w.Code != http.StatusNotFound {
			t.Fatalf("%s as %s: got %d %s, want 200 or 404", path, caller, w.Code, w.Body)
		}
		// Later pages may have other Secrets.
		most := secretReviews + q.namespaces
		if run == 0 {
			most += q.reviews()
		}
		if got := int(s.reviews.Load() - before); got > most {
			t.Errorf("%s as %s, run %d: got %d reviews, want at most %d", path, caller, run, got, most)
		}
	}
	return times
}

// secretReviews are the reviews of the right to get each Secret of a page, and
// all of them.
const secretReviews = 1 + 100

// reviews returns how many reviews an answer may need: one for each resource in
// the cluster and in each of the question's namespaces, and twice as many if
// the question names an object.
func (q question) reviews() int {
	most := q.resources * (1 + q.namespaces)
	if q.names {
		most *= 2
	}
	return most
}
