package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// fleet is a log with many objects of a resource in several namespaces, whose
// names are not in the order of their creation. A third of them were deleted.
type fleet struct {
	t     *testing.T
	rng   *rand.Rand
	clock *clock
	store *store.Store
	times []time.Time
	next  int
}

const fleetSize = 4500

func newFleet(t *testing.T, dir string) *fleet {
	t.Helper()
	f := &fleet{t: t, rng: rand.New(rand.NewPCG(3, 1)), clock: &clock{time.Now().Add(-48 * time.Hour)}} //nolint:gosec // repeatable
	f.store = open(t, dir, store.Options{Now: f.clock.now})
	for range 3 {
		f.grow(fleetSize / 3)
	}
	return f
}

// grow creates objects, changes some and deletes a third of them.
func (f *fleet) grow(n int) {
	f.t.Helper()
	var created, changed []*history.Record
	for range n {
		r := pod(fmt.Sprintf("pod-%08x", f.rng.Uint32()), fmt.Sprint(f.next), history.Create)
		if r.Ref.Namespace = fmt.Sprint("ns-", f.rng.IntN(7)); f.next%50 == 0 {
			r.Ref.Namespace = "ns-small"
		}
		f.next++
		created = append(created, r)
		again := *r
		switch f.next % 3 {
		case 0:
			again.Verb = history.Delete
		case 1:
			again.Verb = history.Update
		default:
			continue
		}
		changed = append(changed, &again)
	}
	for _, batch := range [][]*history.Record{created, changed} {
		f.clock.t = f.clock.t.Add(time.Hour)
		appendTo(f.t, f.store, batch...)
		f.times = append(f.times, batch[len(batch)/2].Time, batch[len(batch)-1].Time)
	}
}

// state returns the state in pages, or at once if the limit is 0.
func (f *fleet) state(sc history.StateScan, between func()) (got []*history.Record) {
	f.t.Helper()
	for more := true; more; between() {
		n := 0
		for r, err := range f.store.State(f.t.Context(), sc) {
			if err != nil {
				f.t.Fatal(err)
			}
			got = append(got, r)
			sc.After = r.Ref
			n++
		}
		more = sc.Limit > 0 && n == sc.Limit
	}
	return got
}

// texts identifies the records that a filter matches.
func texts(records []*history.Record, filter history.Filter) (all []string) {
	for _, r := range records {
		if filter.Matches(r) {
			all = append(all, r.Ref.String()+" "+r.RV+" "+r.Verb.String())
		}
	}
	return all
}

// differences returns the objects that differ between two times, in pages.
func (f *fleet) differences(sc history.CompareScan) (got []string) {
	f.t.Helper()
	for more := true; more; {
		n := 0
		for d, err := range f.store.Compare(f.t.Context(), sc) {
			if err != nil {
				f.t.Fatal(err)
			}
			got = append(got, d.Ref().String())
			sc.After = d.Ref()
			n++
		}
		more = n == sc.Limit
	}
	return got
}

// differing returns the objects of which only one of two states has a version.
func differing(before, after []*history.Record, filter history.Filter) (all []string) {
	count := map[string]int{}
	refs := map[string]history.ObjectRef{}
	for _, r := range slices.Concat(before, after) {
		if filter.Matches(r) {
			version := r.Ref.String() + r.Time.String()
			count[version]++
			refs[version] = r.Ref
		}
	}
	objects := map[history.ObjectRef]bool{}
	for version, n := range count {
		if n == 1 {
			objects[refs[version]] = true
		}
	}
	for _, ref := range slices.SortedFunc(maps.Keys(objects), history.ObjectRef.Compare) {
		all = append(all, ref.String())
	}
	return all
}

// TestState_ListedPagesAreComplete reads states and comparisons of many objects
// in pages, which use a listing, and compares them with whole states, which
// don't. It also does so while objects are created and deleted.
func TestState_ListedPagesAreComplete(t *testing.T) {
	f := newFleet(t, t.TempDir())
	view := history.View{{Resource: "pods"}: {Namespaces: map[string]time.Time{"ns-1": {}, "ns-4": {}}}}
	dated := history.View{{Resource: "pods"}: {Namespaces: map[string]time.Time{"ns-1": time.Now()}}}
	for round := range 2 {
		times := []time.Time{f.times[2], f.times[len(f.times)-2], f.clock.t}
		first := f.state(history.StateScan{At: times[0]}, func() {})
		if testing.Short() {
			times = times[round : round+2]
		}
		for _, at := range times {
			all := f.state(history.StateScan{At: at}, func() {})
			for what, filter := range map[string]history.Filter{
				"all": {}, "of a namespace": {Namespace: "ns-3"}, "of a small one": {Namespace: "ns-small"},
				"visible": {View: view}, "not visible": {View: dated},
				"of the resource": {Resources: []schema.GroupResource{{Resource: "pods"}}},
				"of a name":       {Name: "unknown"}, "cluster-scoped": {Namespace: history.ClusterScoped},
			} {
				want := texts(all, filter)
				listed := f.state(history.StateScan{Filter: filter, At: at, Limit: 500}, func() {})
				got := texts(listed, history.Filter{})
				if !slices.Equal(got, want) {
					t.Errorf("round %d, state at %s of objects: %s: got %d, want %d",
						round, at, what, len(got), len(want))
				}
				want = differing(first, all, filter)
				got = f.differences(history.CompareScan{Filter: filter, From: f.times[2], To: at, Limit: 200})
				if !slices.Equal(got, want) {
					t.Errorf("round %d, differences until %s of objects: %s: got %d, want %d",
						round, at, what, len(got), len(want))
				}
			}
		}
		sc, pages := history.StateScan{At: f.clock.t, Limit: 400}, 0
		want := texts(f.state(history.StateScan{At: f.clock.t}, func() {}), history.Filter{})
		got := texts(f.state(sc, func() {
			if pages++; pages%3 == 0 {
				f.grow(60)
			}
		}), history.Filter{})
		if !slices.Equal(got, want) {
			t.Errorf("round %d, while objects are created: got %d, want %d", round, len(got), len(want))
		}
	}
}

// TestState_ListedPagesCostTheirSize compares the allocations of pages. The
// first one reads all heads, and the second one makes the listing.
func TestState_ListedPagesCostTheirSize(t *testing.T) {
	f := newFleet(t, t.TempDir())
	sc := history.StateScan{At: f.clock.t, Limit: 50}
	page := func() {
		for r, err := range f.store.State(t.Context(), sc) {
			if err != nil {
				t.Fatal(err)
			}
			sc.After = r.Ref
		}
	}
	first := testing.AllocsPerRun(1, page) // reads two pages
	later := testing.AllocsPerRun(10, page)
	if later > first/4 {
		t.Errorf("got %.0f allocations for a later page, want at most a quarter of the %.0f of the first two",
			later, first)
	}
	// Many objects of another resource make the listing outdated.
	var others []*history.Record
	for i := range 2 * fleetSize {
		r := pod(fmt.Sprint("other-", i), fmt.Sprint("other-", i), history.Create)
		r.Ref.Resource = "configmaps"
		others = append(others, r)
	}
	appendTo(t, f.store, others...)
	f.clock.t = f.clock.t.Add(time.Hour)
	sc = history.StateScan{At: f.clock.t, Limit: 50}
	sc.Resources = []schema.GroupResource{{Resource: "pods"}}
	page()
	page() // makes another listing
	if again := testing.AllocsPerRun(5, page); again > first/4 {
		t.Errorf("outdated listing: got %.0f allocations for a later page, want at most a quarter of %.0f",
			again, first)
	}
}
