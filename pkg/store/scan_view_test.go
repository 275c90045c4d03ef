package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// tenants is a log with versions of several resources in many namespaces. Some
// of the namespaces are quiet: they have versions on the first day only.
type tenants struct {
	t     *testing.T
	rng   *rand.Rand
	clock *clock
	store *store.Store
	all   []*history.Record // without bodies
}

const (
	tenantNamespaces = 60
	tenantQuiet      = 20 // the last ones
	tenantDays       = 3
	tenantPerDay     = 3000
)

// tenantResources are the resources of tenants. Nodes are cluster-scoped.
func tenantResources() []schema.GroupResource {
	return []schema.GroupResource{
		{Resource: "pods"}, {Resource: "configmaps"}, {Group: "apps", Resource: "deployments"}, {Resource: "nodes"},
	}
}

func newTenants(t *testing.T) *tenants {
	t.Helper()
	c := &tenants{t: t, rng: rand.New(rand.NewPCG(1, 1)), clock: &clock{}} //nolint:gosec // repeatable
	c.clock.t = time.Now().UTC().Truncate(24 * time.Hour).Add(-(tenantDays - 1) * 24 * time.Hour)
	c.store = open(t, t.TempDir(), store.Options{Now: c.clock.now, Retention: 30 * 24 * time.Hour})
	for day := range tenantDays {
		active := tenantNamespaces
		if day > 0 {
			active -= tenantQuiet
		}
		c.append(tenantPerDay, active)
		c.clock.t = c.clock.t.Truncate(24 * time.Hour).Add(24 * time.Hour)
	}
	c.clock.t = c.all[len(c.all)-1].Time.Add(time.Second)
	return c
}

// append appends versions in the first namespaces within a few hours.
func (c *tenants) append(n, namespaces int) {
	c.t.Helper()
	for range n / 500 {
		var batch []*history.Record
		for range 500 {
			of := tenantResources()[c.rng.IntN(4)]
			namespace, number := fmt.Sprint("ns-", c.rng.IntN(namespaces)), c.rng.IntN(3)
			if of.Resource == "nodes" {
				namespace = ""
			}
			r := pod(fmt.Sprint("web-", number), fmt.Sprint(len(c.all)+len(batch)+1), history.Update)
			r.Ref.Group, r.Ref.Resource, r.Ref.Namespace = of.Group, of.Resource, namespace
			r.Ref.UID = types.UID(fmt.Sprint("uid-", of, namespace, number))
			r.Object = fmt.Appendf(nil, `{"metadata":{"creationTimestamp":%q}}`, tenantCreation(number))
			if number == 0 {
				r.Object = []byte(`{}`)
			}
			batch = append(batch, r)
		}
		appendTo(c.t, c.store, batch...)
		for _, r := range batch {
			r.Created = time.Time{}
			if r.Ref.Name != "web-0" {
				r.Created = tenantCreationTime(r.Ref.Name[len(r.Ref.Name)-1] - '0')
			}
			r.Object = nil
		}
		c.all = append(c.all, batch...)
		c.clock.t = c.clock.t.Add(time.Hour)
	}
}

// tenantCreationTime returns the creation of the objects with a number.
func tenantCreationTime(number byte) time.Time {
	return time.Date(2026, 1, int(number), 0, 0, 0, 0, time.UTC)
}

func tenantCreation(number int) string { return tenantCreationTime(byte(number)).Format(time.RFC3339) }

// views returns views of all sizes, by name.
func (c *tenants) views() map[string]history.View {
	places := func(first, n int, since time.Time) history.Grant {
		g := history.Grant{Namespaces: map[string]time.Time{}}
		for i := first; i < first+n; i++ {
			g.Namespaces[fmt.Sprint("ns-", i)] = since
		}
		return g
	}
	of := func(grant history.Grant) history.View {
		v := history.View{}
		for _, r := range tenantResources() {
			v[r] = grant
		}
		return v
	}
	dated := tenantCreationTime(2)
	mixed := of(places(0, 30, time.Time{}))
	mixed[tenantResources()[1]] = history.Grant{All: true}
	mixed[tenantResources()[2]] = places(tenantNamespaces-tenantQuiet, tenantQuiet, dated)
	nodes := of(places(0, 0, dated))
	nodes[tenantResources()[3]] = history.Grant{Namespaces: map[string]time.Time{"": {}}}
	quiet := tenantNamespaces - tenantQuiet
	return map[string]history.View{
		"nothing":               {},
		"one namespace":         of(places(1, 1, time.Time{})),
		"one namespace, dated":  of(places(1, 1, dated)),
		"six namespaces":        of(places(1, 6, time.Time{})),
		"six, dated":            of(places(1, 6, dated)),
		"half":                  of(places(0, tenantNamespaces/2, time.Time{})),
		"half, dated":           of(places(0, tenantNamespaces/2, dated)),
		"all namespaces":        of(places(0, tenantNamespaces, time.Time{})),
		"all namespaces, dated": of(places(0, tenantNamespaces, dated)),
		"one quiet namespace":   of(places(quiet, 1, time.Time{})),
		"quiet namespaces":      of(places(quiet, tenantQuiet, time.Time{})),
		"quiet, dated":          of(places(quiet, tenantQuiet, dated)),
		"mixed":                 mixed,
		"nodes":                 nodes,
		"unknown namespaces":    of(places(1000, 5000, time.Time{})),
	}
}

// filters returns filters without a view, by name.
func (c *tenants) filters() map[string]history.Filter {
	middle := c.all[len(c.all)/2].Time
	return map[string]history.Filter{
		"all":               {},
		"of a resource":     {Resources: tenantResources()[:1]},
		"of two resources":  {Resources: tenantResources()[1:3]},
		"in a namespace":    {Namespace: "ns-1"},
		"in a quiet one":    {Namespace: history.ScopeOf(fmt.Sprint("ns-", tenantNamespaces-1))},
		"cluster-scoped":    {Namespace: history.ClusterScoped},
		"of a name":         {Name: "web-1"},
		"from the middle":   {Start: middle},
		"up to the middle":  {End: middle},
		"some time, a name": {Start: middle.Add(-7 * time.Hour), End: middle, Name: "web-2"},
	}
}

// check compares scans, pages and counts for half of the pairs of a view and a
// filter with the records that the filters match. With -short, it does so for
// an eighth of the pairs.
func (c *tenants) check(when string) {
	c.t.Helper()
	views, filters, each := c.views(), c.filters(), 2
	if testing.Short() {
		each = 8
	}
	for _, name := range slices.Sorted(maps.Keys(views)) {
		for _, what := range slices.Sorted(maps.Keys(filters)) {
			f := filters[what]
			if c.rng.IntN(each) > 0 {
				continue
			}
			f.View = views[name]
			var want []string
			for _, r := range c.all {
				if f.Matches(r) {
					want = append(want, r.RV)
				}
			}
			what = fmt.Sprintf("%s: %s records, visible: %s", when, what, name)
			if n, exact, err := c.store.Count(c.t.Context(), f, 1_000_000); n != len(want) || !exact || err != nil {
				c.t.Errorf("%s: got count %d, exact %t, error %v, want exactly %d", what, n, exact, err, len(want))
			}
			sc := history.Scan{Filter: f, Order: history.Order(c.rng.IntN(2)), Limit: c.rng.IntN(2) * 300}
			if sc.Order == history.NewestFirst {
				slices.Reverse(want)
			}
			c.same(what, sc, want)
		}
	}
}

// same compares the pages of a scan with resourceVersions.
func (c *tenants) same(what string, sc history.Scan, want []string) {
	c.t.Helper()
	var got []string
	for more := true; more; {
		page := all(c.t, c.store, sc)
		for _, r := range page {
			got = append(got, r.RV)
		}
		if more = sc.Limit > 0 && len(page) == sc.Limit; more {
			sc.After = history.Cursor{Time: page[len(page)-1].Time}
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("%s, order %d, by %d: got %d records, want %d", what, sc.Order, sc.Limit, len(got), len(want))
	}
}

// TestScan_ViewsAreFilters compares what callers see with the definition of
// their filters: for views of few and many places, with and without versions,
// on days that ended and on the newest one.
func TestScan_ViewsAreFilters(t *testing.T) {
	c := newTenants(t)
	c.check("at first")
	c.append(tenantPerDay, tenantNamespaces)
	c.clock.t = c.clock.t.Truncate(24 * time.Hour).Add(26 * time.Hour)
	c.append(500, tenantNamespaces)
	c.check("on the next day")
}
