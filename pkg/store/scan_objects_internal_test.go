package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// town is a log with random objects, and a list of all of their versions. Names
// recur, and some deleted objects come back.
type town struct {
	t       *testing.T
	rng     *rand.Rand
	now     time.Time
	store   *Store
	records []*history.Record
	newest  map[history.ObjectRef]*history.Record
	refs    []history.ObjectRef
}

func newTown(t *testing.T, seed uint64) *town {
	t.Helper()
	w := &town{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // repeatable
		now:    time.Now().Add(-20 * 24 * time.Hour).Truncate(time.Second),
		newest: map[history.ObjectRef]*history.Record{},
	}
	w.store = openListed(t, Options{Now: func() time.Time { return w.now }})
	w.store.listings.least = 10
	return w
}

// namespaces are those of the town. The first objects are cluster-scoped.
func (*town) namespaces() []string {
	return []string{"", "a", "ab", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
}

// live appends versions of some objects, most of them new ones or deletions.
func (w *town) live(n int) {
	w.t.Helper()
	batch := &history.Batch{}
	used := map[history.ObjectRef]bool{}
	for range n {
		ref := history.ObjectRef{Resource: []string{"pods", "events", "nodes"}[w.rng.IntN(3)]}
		if ref.Resource != "nodes" {
			ref.Namespace = w.namespaces()[1+w.rng.IntN(len(w.namespaces())-1)]
		}
		ref.Name = fmt.Sprint("name-", w.rng.IntN(30))
		ref.UID = types.UID(fmt.Sprintf("%08x-%d", w.rng.Uint32(), len(w.refs)))
		verb := history.Create
		if w.rng.IntN(2) == 0 && len(w.refs) > 0 {
			ref = w.refs[w.rng.IntN(len(w.refs))]
			before := w.newest[ref]
			switch gone := before != nil && before.Verb == history.Delete; {
			case used[ref], gone && w.rng.IntN(8) > 0:
				continue
			case gone: // comes back
			case w.rng.IntN(2) == 0:
				verb = history.Delete
			default:
				verb = history.Update
			}
		} else {
			w.refs = append(w.refs, ref)
		}
		used[ref] = true
		created := w.now
		if before := w.newest[ref]; before != nil {
			created = before.Created
		}
		r := &history.Record{
			Ref: ref, Version: "v1", Kind: "Thing", Verb: verb, RV: fmt.Sprint(len(w.records)), Created: created,
			Object: fmt.Appendf(nil, `{"metadata":{"creationTimestamp":%q},"n":%d}`, created.Format(time.RFC3339),
				w.rng.IntN(1000)),
		}
		if before := w.newest[ref]; before == nil && w.rng.IntN(3) == 0 {
			// The clock of the API server may be ahead.
			created = w.now.Add(time.Duration(w.rng.IntN(60)-50) * time.Hour)
			r.Initial, r.Created = w.rng.IntN(4) > 0, created
			r.Object = fmt.Appendf(nil, `{"metadata":{"creationTimestamp":%q}}`, created.Format(time.RFC3339))
		}
		w.newest[ref] = r
		w.records = append(w.records, r)
		batch.Versions = append(batch.Versions, history.NewVersion{Record: r})
	}
	if err := w.store.Append(w.t.Context(), batch); err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Duration(1+w.rng.IntN(5*3600)) * time.Second)
}

// moment returns a random time since the first version.
func (w *town) moment() time.Time {
	at := w.records[w.rng.IntN(len(w.records))].Time
	return at.Add(time.Duration(w.rng.IntN(3)-1) * time.Nanosecond)
}

// filter returns a random filter of a caller with restricted rights, or of one
// without.
func (w *town) filter() (f history.Filter) {
	if w.rng.IntN(4) == 0 {
		f.Resources = []schema.GroupResource{{Resource: "events"}, {Resource: "nodes"}}
	}
	if w.rng.IntN(4) == 0 {
		f.Namespace = history.ScopeOf(w.namespaces()[w.rng.IntN(len(w.namespaces()))])
	}
	if w.rng.IntN(5) == 0 {
		return f
	}
	f.View = history.View{}
	for _, resource := range []string{"pods", "events", "nodes"} {
		grant := history.Grant{All: w.rng.IntN(4) == 0, Namespaces: map[string]time.Time{}}
		rarely := 1 + w.rng.IntN(6)
		for _, namespace := range w.namespaces() {
			if w.rng.IntN(rarely) == 0 {
				grant.Namespaces[namespace] = time.Time{}
				if w.rng.IntN(3) == 0 {
					grant.Namespaces[namespace] = w.moment().Truncate(time.Second)
				}
			}
		}
		if w.rng.IntN(4) > 0 {
			f.View[schema.GroupResource{Resource: resource}] = grant
		}
	}
	return f
}

// at returns the versions of a state that a filter selects, as it is known at a
// later time.
func (w *town) at(at, until time.Time, f history.Filter) map[history.ObjectRef]*history.Record {
	state := map[history.ObjectRef]*history.Record{}
	for _, r := range w.records {
		if r.Time.After(until) {
			break
		}
		if r.Time.After(at) && (r.Revision > 1 || !r.Initial || r.Created.After(at)) {
			continue
		}
		if state[r.Ref] = r; r.Verb == history.Delete || !f.Matches(r) {
			delete(state, r.Ref)
		}
	}
	return state
}

// text identifies a version.
func text(r *history.Record) string {
	if r == nil {
		return "nothing"
	}
	return fmt.Sprintf("%s %d %s %s", r.Ref, r.Revision, r.Verb, r.Object)
}

// state reads a state in pages, as it is known at a later time.
func (w *town) state(at, until time.Time, f history.Filter, limit int) (got []string) {
	w.t.Helper()
	sc := history.StateScan{Filter: f, At: at, Until: until, Limit: limit, Bodies: true}
	for n := limit; n == limit; {
		n = 0
		for r, err := range w.store.State(w.t.Context(), sc) {
			if err != nil {
				w.t.Fatal(err)
			}
			got, sc.After = append(got, text(r)), r.Ref
			n++
		}
		if limit == 0 {
			break
		}
	}
	return got
}

// differences reads the differences between two states in pages.
func (w *town) differences(from, to time.Time, f history.Filter, limit int) (got []string) {
	w.t.Helper()
	sc := history.CompareScan{Filter: f, From: from, To: to, Limit: limit, Bodies: true}
	for n := limit; n == limit; {
		n = 0
		for d, err := range w.store.Compare(w.t.Context(), sc) {
			if err != nil {
				w.t.Fatal(err)
			}
			got, sc.After = append(got, text(d.Before)+" -> "+text(d.After)), d.Ref()
			n++
		}
		if limit == 0 {
			break
		}
	}
	return got
}

// ordered returns what f returns for the objects of states, in their order.
// Empty texts are left out.
func ordered(f func(history.ObjectRef) string, states ...map[history.ObjectRef]*history.Record) (all []string) {
	refs := []history.ObjectRef{}
	for _, state := range states {
		for ref := range state {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, history.ObjectRef.Compare)
	for _, ref := range slices.Compact(refs) {
		if t := f(ref); t != "" {
			all = append(all, t)
		}
	}
	return all
}

// TestObjects_RestrictedPagesAreThoseOfTheWholeLog reads states and comparisons
// in pages for random callers, while the log grows. They must be what the
// filter leaves of the versions that were appended.
func TestObjects_RestrictedPagesAreThoseOfTheWholeLog(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newTown(t, seed)
			for range 40 {
				w.live(30)
				for range 3 {
					w.check()
				}
			}
			listed, ended := 0, 0
			for _, l := range w.store.listings.of {
				if l == nil {
					continue
				}
				for i := range l.namespaces {
					for j := range l.namespaces[i].ended {
						if listed++; l.namespaces[i].ended[j].Load() != 0 {
							ended++
						}
					}
				}
			}
			if listed == 0 || ended == 0 || len(w.store.listings.revived) == 0 {
				t.Errorf("got %d objects in listings, %d of them deleted, %d that came back, want some of each",
					listed, ended, len(w.store.listings.revived))
			}
		})
	}
}

// check compares random pages with their definitions.
func (w *town) check() {
	w.t.Helper()
	f, limit := w.filter(), []int{0, 1, 7, 50}[w.rng.IntN(4)]
	from, to := w.moment(), w.moment()
	if from.After(to) {
		from, to = to, from
	}
	after := w.at(to, to, f)
	want := ordered(func(ref history.ObjectRef) string { return text(after[ref]) }, after)
	if got := w.state(to, time.Time{}, f, limit); !slices.Equal(got, want) {
		w.t.Errorf("state at %s, limit %d, %+v:\ngot  %q\nwant %q", to, limit, f, got, want)
	}
	before := w.at(from, to, f)
	want = ordered(func(ref history.ObjectRef) string { return text(before[ref]) }, before)
	if got := w.state(from, to, f, limit); !slices.Equal(got, want) {
		w.t.Errorf("state at %s as known at %s, limit %d, %+v:\ngot  %q\nwant %q", from, to, limit, f, got, want)
	}
	want = ordered(func(ref history.ObjectRef) string {
		if before[ref] == after[ref] {
			return ""
		}
		return text(before[ref]) + " -> " + text(after[ref])
	}, before, after)
	if got := w.differences(from, to, f, limit); !slices.Equal(got, want) {
		w.t.Errorf("differences from %s to %s, limit %d, %+v:\ngot  %q\nwant %q", from, to, limit, f, got, want)
	}
}
