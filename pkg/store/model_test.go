package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// model is a log as a slice, with the expected state of the log.
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
	floor       time.Time // the retention floor
}

// commit checks the fields that the log set in a batch, and adds the batch to
// the model.
func (m *model) commit(t *testing.T, b *history.Batch) {
	t.Helper()
	for _, r := range b.Versions {
		m.revisions[r.Ref]++
		if want := m.revisions[r.Ref]; r.Revision != want {
			t.Fatalf("revision of %s: got %d, want %d", r.Ref, r.Revision, want)
		}
		if n := len(m.records); n > 0 && !r.Time.After(m.records[n-1].Time) {
			t.Fatalf("time of %s: got %v, want one after %v", r.Ref, r.Time, m.records[n-1].Time)
		}
		if r.Verb == history.Delete {
			delete(m.heads, r.Ref)
		} else {
			m.heads[r.Ref] = history.Head{Ref: r.Ref, RV: r.RV, ManagedHashes: r.ManagedHashes}
		}
		m.records = append(m.records, r.Record)
	}
	for _, c := range b.Checkpoints {
		m.checkpoints[schema.GroupResource{Group: c.Group, Resource: c.Resource}] = c.RV
	}
}

// answer returns the expected records of a scan.
func (m *model) answer(sc history.Scan) []*history.Record {
	var list []*history.Record
	baselines := map[history.ObjectRef]*history.Record{}
	for _, r := range m.records {
		if r.Time.Before(m.oldest()) {
			baselines[r.Ref] = r
		}
	}
	for _, r := range m.records {
		baseline := baselines[r.Ref] == r && r.Verb != history.Delete &&
			(sc.Name != "" || sc.UID != "" || sc.Owner != "")
		if sc.Matches(r) && (baseline || !r.Time.Before(m.oldest())) {
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

// read returns a record as a scan yields it.
func read(r *history.Record, bodies bool) *history.Record {
	c := *r
	if !bodies {
		c.Object = nil
	}
	return &c
}

// diff is a cmp.Diff that is fast if there is no difference.
func diff(want, got []*history.Record) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got)
}

func (m *model) checkScan(t *testing.T, s *store.Store) {
	t.Helper()
	sc := history.Scan{
		Filter: m.filter(), Order: pick(m, history.OldestFirst, history.NewestFirst), Bodies: m.chance(50),
	}
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
		t.Fatalf("scan %+v (regarding %+v) differs (-want +got):\n%s", sc, sc.Regarding, d)
	}
}

// state returns the expected state at a time, as it is known at another one.
func (m *model) state(f history.Filter, at, until time.Time) map[history.ObjectRef]*history.Record {
	state := map[history.ObjectRef]*history.Record{}
	for _, r := range m.records {
		existed := r.Revision == 1 && r.Initial && !r.Created.After(at) && !r.Time.After(until)
		if !r.Time.After(at) || existed {
			state[r.Ref] = r
		}
	}
	maps.DeleteFunc(state, func(_ history.ObjectRef, r *history.Record) bool {
		return r.Verb == history.Delete || !f.Matches(r)
	})
	return state
}

// checkState compares a state, and the differences of two, with the model.
func (m *model) checkState(t *testing.T, s *store.Store) {
	t.Helper()
	f, from, to := m.filter(), m.someTime(), m.someTime()
	if to.Before(from) {
		from, to = to, from
	}
	want, before := m.state(f, to, to), m.state(f, from, to)
	all := slices.SortedFunc(maps.Keys(want), history.ObjectRef.Compare)
	for ref := range before {
		if want[ref] == nil {
			all = append(all, ref)
		}
	}
	slices.SortFunc(all, history.ObjectRef.Compare)
	limit, after, at := maybe(m, 50, 1+m.rng.IntN(8)), maybe(m, 30, m.ref()), to
	var states []*history.Record
	var differences []history.Difference
	for _, ref := range all {
		if ref.Compare(after) <= 0 {
			continue
		}
		if r := want[ref]; r != nil {
			states = append(states, read(r, true))
		}
		if want[ref] != before[ref] {
			differences = append(differences, history.Difference{Before: before[ref], After: want[ref]})
		}
	}
	if m.chance(50) { // the earlier state, as it is known at the later time
		states = nil
		for _, ref := range all {
			if r := before[ref]; r != nil && ref.Compare(after) > 0 {
				states = append(states, read(r, true))
			}
		}
		at = from
	}
	if limit > 0 {
		states, differences = states[:min(limit, len(states))], differences[:min(limit, len(differences))]
	}
	var got []*history.Record
	for r, err := range s.State(t.Context(), history.StateScan{
		Filter: f, At: at, Until: to, After: after, Limit: limit, Bodies: true,
	}) {
		if m.tooOld(t, at, err) {
			return
		}
		got = append(got, r)
	}
	if d := diff(states, got); d != "" {
		t.Fatalf("state at %v of %+v, until %v, after %+v, limit %d (-want +got):\n%s", at, f, to, after, limit, d)
	}
	var compared []history.Difference
	sc := history.CompareScan{Filter: f, From: from, To: to, After: after, Limit: limit, Bodies: true}
	for d, err := range s.Compare(t.Context(), sc) {
		if m.tooOld(t, from, err) {
			return
		}
		compared = append(compared, d)
	}
	if d := cmp.Diff(differences, compared); d != "" {
		t.Fatalf("compare %+v (-want +got):\n%s", sc, d)
	}
}

// tooOld checks the error of a state, and reports whether the state is too old.
func (m *model) tooOld(t *testing.T, at time.Time, err error) bool {
	t.Helper()
	if err == nil {
		return false
	}
	if history.CodeOf(err) != history.NotFound || !at.Before(m.oldest()) {
		t.Fatalf("state at %v: got error %v, want an error only before %v", at, err, m.oldest())
	}
	return true
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
		t.Fatalf("count of %+v up to %d: got %d, exact %v, want %d", f, most, n, exact, want)
	}
	if n, exact, err = s.Count(t.Context(), f, 1_000_000); n != want || !exact || err != nil {
		t.Fatalf("count of %+v: got %d, exact %v, %v, want %d", f, n, exact, err, want)
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
			t.Fatalf("heads of %s differ (-want +got):\n%s", gr, d)
		}
		if c, err := s.Checkpoint(t.Context(), gr); err != nil || c.RV != m.checkpoints[gr] {
			t.Fatalf("checkpoint of %s: got %+v, %v, want %q", gr, c, err, m.checkpoints[gr])
		}
	}
}

func (m *model) checkLatest(t *testing.T, s *store.Store) {
	t.Helper()
	ref := m.ref()
	sc := history.Scan{Order: history.NewestFirst, Limit: 1}
	sc.Resources = []schema.GroupResource{ref.GroupResource()}
	sc.Namespace, sc.Name, sc.UID = ref.Scope(), ref.Name, ref.UID
	want := m.answer(sc)
	got, err := s.Latest(t.Context(), ref)
	if len(want) == 0 {
		if history.CodeOf(err) != history.NotFound {
			t.Fatalf("latest of %s: got %v, %v, want a NotFound error", ref, got, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(read(want[0], true), got); d != "" {
		t.Fatalf("latest of %s differs (-want +got):\n%s", ref, d)
	}
}

// TestStore_MatchesModel runs random operations on a log and on its model. The
// clock stops, advances over several days, and is set back. The log is
// reopened, and days are dropped. At the end the database is audited key by
// key.
func TestStore_MatchesModel(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := &model{
				rng: rand.New(rand.NewPCG(seed, 1)), clock: &clock{time.Now().Round(0).UTC()},
				retention: 72 * time.Hour,
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
		steps = 200
	}
	for range steps {
		switch n := m.rng.IntN(100); {
		case n < 2:
			s = reopen(t, s, dir, opts)
		case n < 4:
			opts.MaxBytes = maybe(m, 20, int64(1)) // every database exceeds it
			s = reopen(t, s, dir, opts)
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.prune(opts.MaxBytes > 0)
			m.checkDroppedGaps(t, s)
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
		case n < 75:
			m.checkScan(t, s)
		case n < 85:
			m.checkState(t, s)
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

// oldest returns the time before which only baselines are answered.
func (m *model) oldest() time.Time {
	if b := m.clock.t.Add(-m.retention); b.After(m.floor) {
		return b
	}
	return m.floor
}

// prune drops the days that the log has to drop: those older than the retention
// or, with all, every day but the newest. Objects that were deleted in a
// dropped day, and not created again, are forgotten.
func (m *model) prune(all bool) {
	if len(m.records) == 0 {
		return
	}
	until := day(m.records[len(m.records)-1].Time)
	if aged := day(m.clock.t.Add(-m.retention)); !all && aged.Before(until) {
		until = aged
	}
	newest := map[history.ObjectRef]*history.Record{}
	for _, r := range m.records {
		newest[r.Ref] = r
		if next := day(r.Time).Add(24 * time.Hour); !next.After(until) && next.After(m.floor) {
			m.floor = next
		}
	}
	for ref, r := range newest {
		if r.Verb == history.Delete && r.Time.Before(m.floor) {
			delete(m.revisions, ref)
		}
	}
}

// day returns the beginning of a time's day in UTC.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// checkDroppedGaps checks that a gap covers each dropped record within the
// retention.
func (m *model) checkDroppedGaps(t *testing.T, s *store.Store) {
	t.Helper()
	for _, r := range m.records {
		if r.Time.Before(m.clock.t.Add(-m.retention)) || !r.Time.Before(m.floor) {
			continue
		}
		gaps, err := s.Gaps(t.Context(), []schema.GroupResource{r.Ref.GroupResource()}, r.Time, r.Time.Add(1))
		if err != nil {
			t.Fatal(err)
		}
		if len(gaps) != 1 || gaps[0].Reason != history.GapDropped || gaps[0].End.After(m.floor) {
			t.Fatalf("gaps at the dropped version of %s at %v: got %+v, want one with reason %s",
				r.Ref, r.Time, gaps, history.GapDropped)
		}
	}
}

func groupResources() []schema.GroupResource {
	return []schema.GroupResource{
		{Resource: "pods"},
		{Resource: "events"},
		{Resource: "nodes"},
		{Group: "apps", Resource: "deployments"},
		{Group: "example.com", Resource: "pods"},
	}
}

func pick[T any](m *model, of ...T) T { return of[m.rng.IntN(len(of))] }

func (m *model) chance(percent int) bool { return m.rng.IntN(100) < percent }

func (m *model) uid() types.UID { return types.UID(fmt.Sprintf("uid-%d", m.rng.IntN(6))) }

func (m *model) namespace() string { return pick(m, "shop", "kube-system", "café\xff\x00") }

func (m *model) name() string {
	return pick(m, "web", "web-1", "db", "", "\x00\xff", string(bytes.Repeat([]byte{'n'}, 253)))
}

func (m *model) target() *history.Target {
	return &history.Target{
		Group: pick(m, "", "apps"), Kind: pick(m, "Pod", "Node"), Namespace: pick(m, "", m.namespace()),
		Name: m.name(), UID: pick(m, "", types.UID("web"), m.uid()),
	}
}

// ref returns an object, often that of an earlier record.
func (m *model) ref() history.ObjectRef {
	if len(m.records) > 0 && m.chance(40) {
		return m.records[max(0, len(m.records)-1-m.rng.IntN(8))].Ref
	}
	gr := pick(m, groupResources()...)
	ref := history.ObjectRef{Group: gr.Group, Resource: gr.Resource, Name: m.name(), UID: m.uid()}
	if ref.Name == "" {
		ref.Name = "x"
	}
	if gr.Resource != "nodes" {
		ref.Namespace = m.namespace()
	}
	return ref
}

func (m *model) newVersion() history.NewVersion {
	m.rv++
	r := history.NewVersion{Record: &history.Record{
		Ref: m.ref(), Version: pick(m, "v1", "v1beta1"), Kind: pick(m, "Pod", "Thing"),
		Verb: pick(m, history.Create, history.Update, history.Update, history.Delete),
		RV:   fmt.Sprint(m.rv), Initial: m.chance(10),
		Object: fmt.Appendf(nil, `{"rv":"%d","junk":"%x\xff",`+
			`"spec":"which is the same in all versions of all objects, and so takes space only once"}`,
			m.rv, m.rng.Uint64()),
	}, ManagedHashes: []uint64{m.rng.Uint64(), 7}}
	// Before may be missing, or be a version of another object.
	r.Before = pick(m, m.bodies[r.Ref], m.bodies[r.Ref], m.bodies[r.Ref], m.bodies[m.ref()], nil)
	m.bodies[r.Ref] = r.Object
	if m.chance(10) {
		r.InferredSince = m.clock.t.Add(-time.Minute).UTC()
	}
	for range m.rng.IntN(3) {
		r.Managers = append(r.Managers, history.Manager{
			Name: pick(m, "kubectl-edit", "kubelet"), Operation: "Update", Subresource: pick(m, "", "status"),
			Time: pick(m, time.Time{}, m.clock.t.UTC()),
		})
		r.Owners = append(r.Owners, m.uid())
	}
	if m.chance(30) {
		r.Regarding = m.target()
	}
	return r
}

func (m *model) batch() *history.Batch {
	b := &history.Batch{}
	for range m.rng.IntN(6) {
		b.Versions = append(b.Versions, m.newVersion())
	}
	if m.chance(50) {
		gr := pick(m, groupResources()...)
		b.Checkpoints = append(b.Checkpoints,
			history.Checkpoint{Group: gr.Group, Resource: gr.Resource, RV: fmt.Sprint(m.rv)})
	}
	return b
}

func maybe[T any](m *model, percent int, v T) (none T) {
	if m.chance(percent) {
		return v
	}
	return none
}

func (m *model) filter() history.Filter {
	f := history.Filter{
		Namespace: maybe(m, 30, pick(m, history.ClusterScoped, history.NamespaceScope(m.namespace()), "nowhere")),
		Name:      maybe(m, 25, m.name()), UID: maybe(m, 20, m.uid()),
		Owner: maybe(m, 15, m.uid()), Managers: maybe(m, 15, []string{pick(m, "kubelet", "helm"), "kubectl"}),
		Regarding: maybe(m, 15, m.target()),
		Verbs:     maybe(m, 25, []history.Verb{pick(m, history.Create, history.Update), history.Delete}),
	}
	if m.chance(40) {
		f.Resources = []schema.GroupResource{
			pick(m, groupResources()...), pick(m, append(groupResources(), schema.GroupResource{Resource: "no"})...),
		}
	}
	if m.chance(15) {
		f.Revisions = []uint64{1, uint64(m.rng.IntN(5))}
	}
	if m.chance(30) {
		f.Start = m.someTime()
	}
	if m.chance(30) {
		f.End = m.someTime()
	}
	return f
}

// someTime returns the time of a record, a time next to it, or one far away.
func (m *model) someTime() time.Time {
	if len(m.records) == 0 || m.chance(10) {
		return pick(m, time.Unix(0, 0), time.Unix(-1, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return pick(m, m.records...).Time.Add(time.Duration(m.rng.IntN(3) - 1))
}
