package query_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// rights are those of one caller. A right is "verb resource namespace/name",
// with "" for all namespaces and for all names.
type rights struct {
	allowed    map[string]bool
	namespaces map[string]time.Time
	fail       error

	mu    sync.Mutex // guards asked
	asked map[string]bool
}

func newRights(allowed ...string) *rights {
	r := &rights{allowed: map[string]bool{}, asked: map[string]bool{}, namespaces: map[string]time.Time{}}
	for _, a := range allowed {
		r.allowed[a] = true
	}
	return r
}

func (r *rights) may(verb string, of schema.GroupResource, namespace, name string) (bool, error) {
	right := fmt.Sprintf("%s %s %s/%s", verb, of, namespace, name)
	r.mu.Lock()
	r.asked[right] = true
	r.mu.Unlock()
	return r.allowed[right], r.fail
}

func (r *rights) List(_ context.Context, of schema.GroupResource, scope history.NamespaceScope) (bool, error) {
	namespace, _ := scope.Namespace()
	return r.may("list", of, namespace, "")
}

func (r *rights) Get(_ context.Context, of schema.GroupResource, namespace, name string) (bool, error) {
	return r.may("get", of, namespace, name)
}

func (r *rights) Path(_ context.Context, path string) (bool, error) {
	return r.may("get", schema.GroupResource{}, "", path)
}

func (r *rights) Namespaces(context.Context, history.Activity) (map[string]time.Time, error) {
	return r.namespaces, r.fail
}

// created returns an object with a time of creation.
func created(at time.Time) string {
	return fmt.Sprintf(`{"metadata":{"creationTimestamp":%q}}`, at.UTC().Format(time.RFC3339))
}

// A namespace that was deleted and created again may belong to another tenant.
func TestAs_HidesEarlierNamespace(t *testing.T) {
	l := newLog(t)
	recreated := l.now.Add(-time.Hour)
	old, present := ref("", "pods", "shop", "web", 1), ref("", "pods", "shop", "web", 2)
	l.put(
		record(old, history.Create, created(recreated.Add(-time.Second))),
		record(old, history.Update, created(recreated.Add(-time.Second))),
		record(present, history.Create, created(recreated)),
		// A relist found the deletion after the namespace was created again.
		record(old, history.Delete, created(recreated.Add(-time.Second))),
		record(ref("", "pods", "shop", "unknown", 1), history.Create, `{}`),
	)
	tenant := newRights("list pods shop/")
	tenant.namespaces["shop"] = recreated
	admin := newRights("list pods /")
	admin.namespaces["shop"] = recreated
	for _, c := range []struct {
		name    string
		options query.Options
		caller  *rights
		want    int
	}{
		{"tenant", query.Options{}, tenant, 1},
		{"tenant, relaxed", query.Options{EarlierNamespaces: true}, tenant, 5},
		{"cluster-wide rights", query.Options{}, admin, 5},
		{"namespace is gone", query.Options{}, newRights("list pods shop/"), 0},
		{"namespace is gone, relaxed", query.Options{EarlierNamespaces: true}, newRights("list pods shop/"), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := l.service(c.options).As(c.caller)
			page, err := s.Timeline(t.Context(), query.Timeline{Filter: history.Filter{Namespace: "shop"}, Limit: 1})
			if err != nil || page.Total != c.want {
				t.Errorf("got %d versions, error %v, want %d", page.Total, err, c.want)
			}
		})
	}
}

func TestAs_NamedObjectNeedsGet(t *testing.T) {
	l := newLog(t)
	fill(l)
	caller := newRights("get pods shop/web-01", "list events shop/")
	caller.namespaces["shop"] = time.Unix(0, 0)
	s := l.service(query.Options{EarlierNamespaces: true}).As(caller)
	for name, want := range map[string]bool{"web-01": true, "web-02": false} {
		page, err := s.Timeline(t.Context(),
			query.Timeline{Filter: history.Filter{Name: name}, Types: []string{"pods"}, Limit: 10})
		if err != nil || (len(page.Versions) > 0) != want || (page.Total > 0) != want {
			t.Errorf("timeline of %s: got %d of %d versions, error %v, want some: %t",
				name, len(page.Versions), page.Total, err, want)
		}
		h, err := s.Object(t.Context(), query.Object{Namespace: "shop", Type: "pods", Name: name, Limit: 10})
		if err != nil || (len(h.Own.Versions) > 0) != want {
			t.Errorf("history of %s: got %d versions, error %v, want some: %t", name, len(h.Own.Versions), err, want)
		}
	}
	page, err := s.Timeline(t.Context(), query.Timeline{Types: []string{"pods"}, Limit: 10})
	if err != nil || len(page.Versions) > 0 || page.Total > 0 {
		t.Errorf("list: got %d of %d versions, error %v, want none: naming an object is needed",
			len(page.Versions), page.Total, err)
	}
}

func TestAs_HidesHashesOfListedSecrets(t *testing.T) {
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	l := newLog(t)
	if err := l.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	secret := record(ref("", "secrets", "shop", "pin", 1), history.Create, `{"data":{"pin":"`+hash+`"}}`)
	secret.Summary = &history.Summary{Text: "created with " + hash}
	secret.Managers = []history.Manager{{Name: hash, Fields: []string{"data." + hash}}}
	l.put(secret, record(secret.Ref, history.Update, `{"data":{}}`))
	for _, c := range []struct {
		rights []string
		shown  bool
	}{
		{[]string{"list secrets /"}, false},
		{[]string{"list secrets shop/"}, false},
		{[]string{"list secrets shop/", "get secrets shop/other"}, false},
		{[]string{"list secrets shop/", "get secrets shop/pin"}, true},
		{[]string{"list secrets shop/", "get secrets shop/"}, true},
		{[]string{"list secrets shop/", "get secrets /"}, true},
		{[]string{"get secrets shop/pin"}, true},
	} {
		s := l.service(query.Options{EarlierNamespaces: true}).As(newRights(c.rights...))
		page, err := s.Timeline(t.Context(),
			query.Timeline{Filter: history.Filter{Namespace: "shop", Name: "pin"}, Limit: 10, Previous: true})
		if err != nil || len(page.Versions) != 2 {
			t.Fatalf("%v: got %d versions, error %v, want 2", c.rights, len(page.Versions), err)
		}
		if got := strings.Contains(string(page.Versions[1].Previous), hash); got != c.shown {
			t.Errorf("%v: shows hashes of the previous version: got %t, want %t", c.rights, got, c.shown)
		}
		v := page.Versions[0]
		text := fmt.Sprintf("%s %s %+v %s %+v", v.Object, v.Summary, v.Managers, v.Problem, v.Record.Summary)
		if got := strings.Contains(text, hash); got != c.shown {
			t.Errorf("%v: shows hashes: got %t, want %t", c.rights, got, c.shown)
		}
		if strings.Contains(text, "pin") && !strings.Contains(text, "hmac-sha256:") {
			t.Errorf("%v: got %s, want a mark in place of the hash", c.rights, text)
		}
	}
}

func TestAs_FailsIfRightsAreUnknown(t *testing.T) {
	l := newLog(t)
	fill(l)
	caller := newRights("list pods /")
	caller.fail = errors.New("not reachable")
	s := l.service(query.Options{}).As(caller)
	_, timeline := s.Timeline(t.Context(), query.Timeline{Limit: 1})
	_, object := s.Object(t.Context(), query.Object{Namespace: "shop", Type: "pods", Name: "web-01", Limit: 1})
	_, gaps := s.Gaps(t.Context(), query.Gaps{})
	_, resources := s.Resources(t.Context())
	for name, err := range map[string]error{
		"timeline": timeline, "object": object, "gaps": gaps, "resources": resources,
	} {
		if !errors.Is(err, caller.fail) {
			t.Errorf("%s: got error %v, want %v", name, err, caller.fail)
		}
	}
}

// The rights of a question are asked for once per resource and namespace.
func TestAs_BoundsReviews(t *testing.T) {
	l := newLog(t)
	fill(l)
	caller := newRights()
	for i := range 20 {
		caller.namespaces[fmt.Sprint("ns-", i)] = time.Unix(0, 0)
	}
	s := l.service(query.Options{}).As(caller)
	if _, err := s.Timeline(t.Context(), query.Timeline{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if most := 8 * (1 + 20); len(caller.asked) > most {
		t.Errorf("all namespaces: got %d reviews, want at most %d", len(caller.asked), most)
	}
	clear(caller.asked)
	_, err := s.Timeline(t.Context(),
		query.Timeline{Filter: history.Filter{Namespace: "ns-1"}, Types: []string{"pods"}, Limit: 1})
	if err != nil || len(caller.asked) > 2 {
		t.Errorf("pods of a namespace: got reviews %v, error %v, want at most 2", caller.asked, err)
	}
}

// TestAs_ShowsExactlyWhatIsAllowed compares the answers to a caller with random
// rights with those to a caller who may read everything.
func TestAs_ShowsExactlyWhatIsAllowed(t *testing.T) {
	l := newLog(t)
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test with a fixed seed
	population(l, rng)
	s := l.service(query.Options{})
	all, err := s.Timeline(t.Context(), query.Timeline{Limit: 1000})
	if err != nil || all.More {
		t.Fatalf("got error %v, more: %t, want all versions", err, all.More)
	}
	for range 200 {
		caller := randomRights(rng)
		seen := s.As(caller)
		q := randomTimeline(rng)
		want := []string{}
		for _, v := range all.Versions {
			if q.Matches(v.Record) && matchesType(q, v.Record) && caller.mayRead(v.Record, q.Name) {
				want = append(want, v.Ref.String()+v.RV)
			}
		}
		if q.Order == history.NewestFirst {
			slices.Reverse(want)
		}
		got, total := []string{}, 0
		for {
			page, err := seen.Timeline(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range page.Versions {
				got = append(got, v.Ref.String()+v.RV)
			}
			total = page.Total
			for _, g := range page.Gaps {
				if !caller.mayList(g.GroupResource(), q.Namespace) && q.Name == "" {
					t.Errorf("rights %v, %+v: got a gap of %s, want none", caller.allowed, q, g.GroupResource())
				}
			}
			if q.After = page.Next; !page.More {
				break
			}
		}
		if !slices.Equal(got, want) || total != len(want) {
			t.Errorf("rights %v, %+v: got %d versions %v, total %d, want %d %v",
				caller.allowed, q, len(got), got, total, len(want), want)
		}
	}
}

// population appends versions of several kinds in several namespaces, and gaps.
func population(l *log, rng *rand.Rand) {
	l.t.Helper()
	for i := range 200 {
		resource := []string{"pods", "services", "events", "nodes"}[rng.IntN(4)]
		namespace := []string{"a", "b", "c"}[rng.IntN(3)]
		if resource == "nodes" {
			namespace = ""
		}
		incarnation := rng.IntN(2)
		at := time.Date(2026, 1, 1, incarnation, 0, 0, 0, time.UTC)
		r := record(ref("", resource, namespace, fmt.Sprint("o", rng.IntN(4)), incarnation),
			history.Update, created(at))
		r.RV = fmt.Sprint(i)
		l.put(r)
	}
	var gaps []history.Gap
	for _, resource := range []string{"pods", "services", "nodes"} {
		gaps = append(gaps, history.Gap{Resource: resource, Start: l.now, Reason: history.GapExpired})
	}
	if err := l.Append(l.t.Context(), &history.Batch{Gaps: gaps}); err != nil {
		l.t.Fatal(err)
	}
}

// randomRights returns rights on resources, namespaces and names. One of the
// namespaces was created again.
func randomRights(rng *rand.Rand) *rights {
	r := newRights()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r.namespaces = map[string]time.Time{"a": start, "b": start.Add(time.Hour)}
	for range rng.IntN(6) {
		resource := []string{"pods", "services", "events", "nodes"}[rng.IntN(4)]
		namespace := []string{"", "a", "b", "c"}[rng.IntN(4)]
		if verb := rng.IntN(2); verb == 0 {
			r.allowed["list "+resource+" "+namespace+"/"] = true
		} else {
			r.allowed["get "+resource+" "+namespace+"/"+fmt.Sprint("o", rng.IntN(4))] = true
		}
	}
	return r
}

// mayRead is the rule that the service must follow, written in another way.
func (r *rights) mayRead(v *history.Record, name string) bool {
	gr := v.Ref.GroupResource().String()
	if r.allowed["list "+gr+" /"] {
		return true
	}
	named := name != "" && r.allowed["get "+gr+" "+v.Ref.Namespace+"/"+name]
	if v.Ref.Namespace == "" {
		return named
	}
	since, exists := r.namespaces[v.Ref.Namespace]
	return exists && !rawjson.CreationTime(v.Object).Before(since) &&
		(named || r.allowed["list "+gr+" "+v.Ref.Namespace+"/"])
}

// mayList reports whether the caller may list a resource anywhere in a scope.
func (r *rights) mayList(of schema.GroupResource, scope history.NamespaceScope) bool {
	for _, namespace := range []string{"a", "b"} {
		if scope.Contains(namespace) && r.allowed["list "+of.String()+" "+namespace+"/"] {
			return true
		}
	}
	return r.allowed["list "+of.String()+" /"]
}

func randomTimeline(rng *rand.Rand) query.Timeline {
	q := query.Timeline{Limit: 1 + rng.IntN(30), Order: history.Order(rng.IntN(2))}
	q.Namespace = []history.NamespaceScope{"", "a", "b", "c", history.ClusterScoped}[rng.IntN(5)]
	if rng.IntN(2) == 0 {
		q.Types = [][]string{{"pods"}, {"no"}, {"pods", "services.v1."}, {"events"}}[rng.IntN(4)]
	}
	if rng.IntN(2) == 0 {
		q.Name = fmt.Sprint("o", rng.IntN(4))
	}
	return q
}

// matchesType reports whether a record has one of the question's types.
func matchesType(q query.Timeline, r *history.Record) bool {
	plural := map[string]string{"no": "nodes", "services.v1.": "services"}
	return len(q.Types) == 0 || slices.ContainsFunc(q.Types, func(arg string) bool {
		if full, short := plural[arg]; short {
			arg = full
		}
		return arg == r.Ref.Resource
	})
}

// Matches are counted among half as many records if the caller may read only
// some namespaces, because reading scattered records costs more.
func TestAs_CountsFewerMatchesInSomeNamespaces(t *testing.T) {
	l := newLog(t)
	one := newRights("list pods team-a/")
	one.namespaces["team-a"] = time.Time{}
	for n := range 40 {
		namespace := []string{"team-a", "team-b"}[n%2]
		l.put(record(ref("", "pods", namespace, fmt.Sprint("web-", n), 1), history.Create, created(l.now)))
	}
	expression, err := selector.Compile(`verb == "create"`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		caller    *rights
		namespace history.NamespaceScope
		want      int
	}{
		{"cluster-wide rights", newRights("list pods /"), history.AllNamespaces, 10},
		{"rights in one of two namespaces", one, history.AllNamespaces, 5},
		{"question about that namespace", one, "team-a", 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := l.service(query.Options{Effort: 100}).As(c.caller)
			page, err := s.Timeline(t.Context(), query.Timeline{
				Filter: history.Filter{Namespace: c.namespace}, Types: []string{"pods"}, Limit: 1,
				Selector: &selector.Selector{Expression: expression},
			})
			if err != nil || page.Total != c.want || page.Exact {
				t.Errorf("got total %d, exact %t, error %v, want %d, not exact",
					page.Total, page.Exact, err, c.want)
			}
		})
	}
}

// The total of a caller with rights in many namespaces is counted with a
// fraction of the effort, unless the question is about one of them.
func TestAs_CountsLessInManyNamespaces(t *testing.T) {
	l := newLog(t)
	ten, twenty := newRights(), newRights()
	for i := range 20 {
		namespace := fmt.Sprintf("team-%02d", i)
		for n := range 5 {
			l.put(record(ref("", "pods", namespace, fmt.Sprint("web-", n), 1), history.Create, created(l.now)))
		}
		if i < 10 {
			ten.allowed["list pods "+namespace+"/"] = true
		}
		twenty.allowed["list pods "+namespace+"/"] = true
		ten.namespaces[namespace], twenty.namespaces[namespace] = time.Time{}, time.Time{}
	}
	for _, c := range []struct {
		name      string
		caller    *rights
		namespace history.NamespaceScope
		want      int
		exact     bool
	}{
		{"cluster-wide rights", newRights("list pods /"), history.AllNamespaces, 60, false},
		{"ten namespaces", ten, history.AllNamespaces, 50, true},
		{"twenty namespaces", twenty, history.AllNamespaces, 6, false},
		{"one of twenty namespaces", twenty, "team-11", 5, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := l.service(query.Options{Effort: 60}).As(c.caller)
			page, err := s.Timeline(t.Context(),
				query.Timeline{Filter: history.Filter{Namespace: c.namespace}, Types: []string{"pods"}, Limit: 1})
			if err != nil || page.Total != c.want || page.Exact != c.exact {
				t.Errorf("got total %d, exact %t, error %v, want %d, exact %t",
					page.Total, page.Exact, err, c.want, c.exact)
			}
		})
	}
}
