package store_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// model is the log as a slice, and what has to be true of it by definition.
type model struct {
	rng         *rand.Rand
	clock       *clock
	retention   time.Duration
	records     []*history.Record
	revisions   map[history.ObjectRef]uint64
	heads       map[history.ObjectRef]history.Head
	bodies      map[history.ObjectRef][]byte // of the newest versions
	checkpoints map[schema.GroupResource]string
	rv          int
	floor       time.Time // before it, everything is dropped
}

// commit checks what the log set in a batch, and takes the batch over.
func (m *model) commit(t *testing.T, b *history.Batch) {
	t.Helper()
	for _, r := range b.Records {
		m.revisions[r.Ref]++
		if want := m.revisions[r.Ref]; r.Revision != want {
			t.Fatalf("revision of %s is %d, want %d", r.Ref, r.Revision, want)
		}
		if n := len(m.records); n > 0 && !r.Time.After(m.records[n-1].Time) {
			t.Fatalf("time %v does not come after %v", r.Time, m.records[n-1].Time)
		}
		if r.Verb == history.Delete {
			delete(m.heads, r.Ref)
		} else {
			m.heads[r.Ref] = history.Head{Ref: r.Ref, RV: r.RV, ManagedHashes: r.ManagedHashes}
		}
		m.records = append(m.records, r)
	}
	for _, c := range b.Checkpoints {
		m.checkpoints[schema.GroupResource{Group: c.Group, Resource: c.Resource}] = c.RV
	}
}

// answer is what a scan has to answer, by definition.
func (m *model) answer(sc history.Scan) []*history.Record {
	var list []*history.Record
	stood := map[history.ObjectRef]*history.Record{}
	for _, r := range m.records {
		if r.Time.Before(m.bottom()) {
			stood[r.Ref] = r
		}
	}
	for _, r := range m.records {
		stands := stood[r.Ref] == r && r.Verb != history.Delete && (sc.Name != "" || sc.UID != "" || sc.Owner != "")
		if sc.Matches(r) && (stands || !r.Time.Before(m.bottom())) {
			list = append(list, r)
		}
	}
	if sc.Order == history.NewestFirst {
		slices.Reverse(list)
	}
	if !sc.After.IsZero() {
		list = slices.DeleteFunc(list, func(r *history.Record) bool {
			return !r.Time.After(sc.After.Time) == (sc.Order == history.OldestFirst) || r.Time.Equal(sc.After.Time)
		})
	}
	if sc.Limit > 0 && len(list) > sc.Limit {
		list = list[:sc.Limit]
	}
	return list
}

// read makes of a record what reading it has to give.
func read(r *history.Record, bodies bool) *history.Record {
	c := *r
	c.ManagedHashes, c.Before = nil, nil
	if !bodies {
		c.Object = nil
	}
	return &c
}

// diff is cmp.Diff, but fast where there is no difference.
func diff(want, got []*history.Record) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func (m *model) checkScan(t *testing.T, s *store.Store) {
	t.Helper()
	sc := history.Scan{Filter: m.filter(), Order: pick(m, history.OldestFirst, history.NewestFirst), Bodies: m.chance(50)}
	sc.Limit = maybe(m, 50, 1+m.rng.IntN(40))
	if m.chance(30) {
		sc.After = history.Cursor{Time: m.someTime()}
	}
	var got []*history.Record
	for r, err := range s.Scan(t.Context(), sc) {
		if err != nil {
			t.Fatalf("scan %+v: %v", sc, err)
		}
		got = append(got, r)
	}
	var want []*history.Record
	for _, r := range m.answer(sc) {
		want = append(want, read(r, sc.Bodies))
	}
	if d := diff(want, got); d != "" {
		t.Fatalf("scan %+v (regarding %+v):\n%s", sc, sc.Regarding, d)
	}
}

func (m *model) checkCount(t *testing.T, s *store.Store) {
	t.Helper()
	f, most := m.filter(), 1+m.rng.IntN(60)
	want := len(m.answer(history.Scan{Filter: f}))
	n, exact, err := s.Count(t.Context(), f, most)
	if err != nil {
		t.Fatal(err)
	}
	if exact && n != want || n > min(want, most) {
		t.Fatalf("count of %+v up to %d: %d, exact %v; want %d", f, most, n, exact, want)
	}
	if n, exact, err = s.Count(t.Context(), f, 1_000_000); n != want || !exact || err != nil {
		t.Fatalf("count of %+v: %d, exact %v, %v; want %d", f, n, exact, err, want)
	}
}

func (m *model) checkCurrent(t *testing.T, s *store.Store) {
	t.Helper()
	for _, gr := range groupResources() {
		got := map[history.ObjectRef]history.Head{}
		for h, err := range s.Heads(t.Context(), gr) {
			if err != nil {
				t.Fatal(err)
			}
			got[h.Ref] = h
		}
		want := maps.Clone(m.heads)
		maps.DeleteFunc(want, func(ref history.ObjectRef, _ history.Head) bool { return ref.GroupResource() != gr })
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("heads of %s:\n%s", gr, d)
		}
		if c, err := s.Checkpoint(t.Context(), gr); err != nil || c.RV != m.checkpoints[gr] {
			t.Fatalf("checkpoint of %s is %+v, %v; want %q", gr, c, err, m.checkpoints[gr])
		}
	}
}

func (m *model) checkLatest(t *testing.T, s *store.Store) {
	t.Helper()
	ref := m.ref()
	sc := history.Scan{Order: history.NewestFirst, Limit: 1}
	sc.Resources, sc.Namespace, sc.Name, sc.UID = []schema.GroupResource{ref.GroupResource()}, ref.Scope(), ref.Name, ref.UID
	want := m.answer(sc)
	got, err := s.Latest(t.Context(), ref)
	if len(want) == 0 {
		if history.CodeOf(err) != history.NotFound {
			t.Fatalf("latest of %s: %v, %v; want not found", ref, got, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(read(want[0], true), got); d != "" {
		t.Fatalf("latest of %s:\n%s", ref, d)
	}
}

// TestModel runs random operations against the log and against a slice. The clock stands still, runs over several days,
// and jumps back; the log is opened again and days are dropped midway. At the end the database is looked at key by key.
func TestModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := &model{
				rng: rand.New(rand.NewPCG(seed, 1)), clock: &clock{time.Now().Round(0).UTC()}, retention: 72 * time.Hour,
				revisions: map[history.ObjectRef]uint64{}, heads: map[history.ObjectRef]history.Head{},
				checkpoints: map[schema.GroupResource]string{}, bodies: map[history.ObjectRef][]byte{},
			}
			m.run(t)
		})
	}
}

func (m *model) run(t *testing.T) {
	t.Helper()
	dir, opts := t.TempDir(), store.Options{Now: m.clock.now, Retention: m.retention}
	s := open(t, dir, opts)
	steps := 1200
	if testing.Short() {
		steps = 400
	}
	for range steps {
		switch n := m.rng.IntN(100); {
		case n < 2:
			s = reopen(t, s, dir, opts)
		case n < 4:
			opts.MaxBytes = maybe(m, 20, int64(1)) // that is always too little
			s = reopen(t, s, dir, opts)
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.prune(opts.MaxBytes > 0)
			m.checkLosses(t, s)
		case n < 20:
			m.clock.t = m.clock.t.Add(time.Duration(m.rng.Int64N(int64(3 * time.Hour))))
		case n < 22:
			m.clock.t = m.clock.t.Add(-time.Minute)
		case n < 50:
			b := m.batch()
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			m.commit(t, b)
		case n < 85:
			m.checkScan(t, s)
		case n < 90:
			m.checkCount(t, s)
		case n < 95:
			m.checkCurrent(t, s)
		default:
			m.checkLatest(t, s)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	audit(t, dir, m.retention, false)
}
