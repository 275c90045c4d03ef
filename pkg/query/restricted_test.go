package query_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// restricted reports whether the answers about some objects are restricted. It
// fails if the kinds of answers differ.
func restricted(t *testing.T, s *query.Service, q query.Objects) bool {
	t.Helper()
	events, err := s.Timeline(t.Context(), query.Timeline{
		Filter: history.Filter{Namespace: q.Namespace, Name: q.Name}, Types: q.Types, Group: q.Group, Limit: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	state, _ := s.State(t.Context(), query.State{Objects: q, Limit: 1}) // an error that nothing is recorded
	compare, _ := s.Compare(t.Context(), query.Compare{Objects: q, Limit: 1})
	if state.Restricted != events.Restricted || compare.Restricted != events.Restricted {
		t.Errorf("%+v: got restricted timeline %t, state %t, comparison %t, want the same",
			q, events.Restricted, state.Restricted, compare.Restricted)
	}
	return events.Restricted
}

func TestRestricted_DependsOnRightsAndQuestion(t *testing.T) {
	l := newLog(t)
	fill(l)
	admin := newRights("list *.* /", "list pods /", "list events /", "list deployments.apps /")
	tenant := newRights("list *.* shop/", "list pods shop/", "list events shop/", "list deployments.apps shop/")
	viewer := newRights("list pods shop/", "list events shop/")
	named := newRights("get pods shop/web-01")
	for _, c := range []*rights{admin, tenant, viewer, named} {
		c.namespaces["shop"], c.namespaces["bank"] = time.Unix(0, 0), time.Unix(0, 0)
	}
	for _, tt := range []struct {
		name     string
		question query.Objects
		want     [4]bool // admin, tenant, viewer, named
	}{
		{"everything", query.Objects{}, [4]bool{false, true, true, true}},
		{"a namespace", query.Objects{Namespace: "shop"}, [4]bool{false, false, true, true}},
		{"another namespace", query.Objects{Namespace: "bank"}, [4]bool{false, true, true, true}},
		{"no namespace", query.Objects{Namespace: history.ClusterScoped}, [4]bool{false, true, true, true}},
		{"a namespace that does not exist", query.Objects{Namespace: "gone"}, [4]bool{false, true, true, true}},
		{"a type", query.Objects{Types: []string{"pods"}}, [4]bool{false, true, true, true}},
		{
			"a type in a namespace",
			query.Objects{Types: []string{"po"}, Namespace: "shop"},
			[4]bool{false, false, false, true},
		},
		{
			"two types in a namespace",
			query.Objects{Types: []string{"po", "deploy"}, Namespace: "shop"},
			[4]bool{false, false, true, true},
		},
		{
			"a type in a group",
			query.Objects{Types: []string{"po"}, Group: query.CoreGroup, Namespace: "shop"},
			[4]bool{false, false, false, true},
		},
		{
			"an unknown type",
			query.Objects{Types: []string{"unicorns"}, Namespace: "shop"},
			[4]bool{false, false, true, true},
		},
		{
			"a type without namespaces in a namespace",
			query.Objects{Types: []string{"nodes"}, Namespace: "shop"},
			[4]bool{false, false, true, true},
		},
		{
			"a name",
			query.Objects{Types: []string{"pods"}, Namespace: "shop", Name: "web-01"},
			[4]bool{false, false, false, false},
		},
		{
			"another name",
			query.Objects{Types: []string{"pods"}, Namespace: "shop", Name: "web-02"},
			[4]bool{false, false, false, true},
		},
	} {
		for i, caller := range []*rights{admin, tenant, viewer, named} {
			if got := restricted(t, l.service(query.Options{}).As(caller), tt.question); got != tt.want[i] {
				t.Errorf("%s, rights %v: got restricted %t, want %t", tt.name, caller.allowed, got, tt.want[i])
			}
		}
		if restricted(t, l.service(query.Options{}), tt.question) {
			t.Errorf("%s: got restricted without a caller, want false", tt.name)
		}
	}
}

func TestRestricted_OfObjectIncludesEvents(t *testing.T) {
	l := newLog(t)
	fill(l)
	for _, tt := range []struct {
		rights      []string
		descendants bool
		want        bool
	}{
		{[]string{"list pods shop/", "list events shop/"}, false, false},
		{[]string{"get pods shop/web-01", "list events shop/"}, false, false},
		{[]string{"list pods shop/"}, false, true},
		{[]string{"list events shop/"}, false, true},
		{[]string{"list pods shop/", "list events shop/"}, true, true},
		{[]string{"list pods shop/", "list events shop/", "list *.* shop/"}, true, false},
	} {
		caller := newRights(tt.rights...)
		caller.namespaces["shop"] = time.Unix(0, 0)
		got, err := l.service(query.Options{}).As(caller).Object(t.Context(), query.Object{
			Namespace: "shop", Type: "pods", Name: "web-01", Limit: 1, Descendants: tt.descendants,
		})
		if err != nil || got.Restricted != tt.want {
			t.Errorf("rights %v, descendants %t: got restricted %t, error %v, want %t",
				tt.rights, tt.descendants, got.Restricted, err, tt.want)
		}
	}
}

// mention reports whether there is a right on a resource.
func (r *rights) mention(of history.Resource) bool {
	for right := range r.allowed {
		if strings.Contains(right, " "+of.GroupResource().String()+" ") {
			return true
		}
	}
	return false
}

// TestRestricted_RevealsNothing compares the answers of two logs to callers
// with random rights. One log has records, also of resources that the caller
// may not read. The other one has no record, and only the resources of the
// rights.
func TestRestricted_RevealsNothing(t *testing.T) {
	full := newLog(t)
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test with a fixed seed
	population(full, rng)
	catalogue, err := full.Resources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		caller := randomRights(rng)
		visible := newEmptyLog(t)
		for _, r := range catalogue {
			if caller.mention(r) {
				if err := visible.Register(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 20 {
			q := randomTimeline(rng)
			of := query.Objects{Types: q.Types, Group: q.Group, Namespace: q.Namespace, Name: q.Name}
			got := restricted(t, full.service(query.Options{}).As(caller), of)
			want := restricted(t, visible.service(query.Options{}).As(caller), of)
			if got != want {
				t.Errorf("%d: rights %v, %+v: got restricted %t with hidden records, want %t as without them",
					i, caller.allowed, of, got, want)
			}
		}
	}
}
