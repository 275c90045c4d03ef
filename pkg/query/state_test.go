package query_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// replay is a log of random records, and these records. The questions' answers
// are computed from the records by their definitions.
type replay struct {
	*log

	rng     *rand.Rand
	records []*history.Record
	last    map[history.ObjectRef]time.Time // of the records of a place
}

const replayRetention = 72 * time.Hour

// newReplay records a week: objects are created, changed, deleted and created
// again, under changing kinds. The oldest days are pruned.
func newReplay(t *testing.T, seed uint64) *replay {
	t.Helper()
	r := &replay{
		log: &log{t: t, now: time.Now().UTC().Truncate(24 * time.Hour).Add(7 * time.Hour)},
		rng: rand.New(rand.NewPCG(seed, 2)), last: map[history.ObjectRef]time.Time{},
	}
	s, err := store.Open(t.TempDir(),
		store.Options{NoSync: true, Retention: replayRetention, Now: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Store = s
	for _, one := range replayResources() {
		if err := s.Register(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	alive := map[history.ObjectRef]*history.Record{}
	for n := range 600 {
		r.now = r.now.Add(time.Duration(r.rng.Int64N(int64(30 * time.Minute))))
		next := r.next(n, alive)
		if err := s.Append(t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: next}}}); err != nil {
			t.Fatal(err)
		}
		r.records = append(r.records, next)
		if n == 300 { // the CRD is defined again
			renamed := replayResources()[3]
			renamed.Kind = "Capsule"
			if err := s.Register(t.Context(), renamed.After(replayResources()[3])); err != nil {
				t.Fatal(err)
			}
		}
		if n%200 == 199 {
			if err := s.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return r
}

func replayResources() []history.Resource {
	return []history.Resource{
		{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node"},
		{Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true},
		{Group: "example.com", Version: "v2", Plural: "pods", Kind: "Pod", Namespaced: true},
	}
}

// next returns the next record: of an object that exists, or of a new one.
func (r *replay) next(n int, alive map[history.ObjectRef]*history.Record) *history.Record {
	resource := replayResources()[r.rng.IntN(4)]
	ref := history.ObjectRef{Group: resource.Group, Resource: resource.Plural, Name: fmt.Sprint("o-", r.rng.IntN(8))}
	if resource.Namespaced {
		ref.Namespace = fmt.Sprint("ns-", r.rng.IntN(3))
	}
	next := &history.Record{Version: resource.Version, Kind: resource.Kind, Verb: history.Create, RV: fmt.Sprint(n)}
	if n > 300 && resource.Group != "" {
		next.Kind = "Capsule"
	}
	created := r.now.Truncate(time.Second)
	if before := alive[ref]; before != nil {
		ref, created, next.Verb = before.Ref, rawjson.CreationTime(before.Object), history.Update
		if r.rng.IntN(4) == 0 {
			next.Verb = history.Delete
		}
	} else {
		if next.Initial = r.rng.IntN(2) == 0; next.Initial { // it was not observed before
			since := r.now.Add(-48 * time.Hour)
			if last := r.last[ref]; last.After(since) {
				since = last
			}
			created = since.Add(time.Duration(r.rng.Int64N(int64(r.now.Sub(since)) + 1))).Truncate(time.Second)
		}
		ref.UID = types.UID(fmt.Sprint("uid-", n))
	}
	next.Ref, next.Created = ref, created
	content := fmt.Sprint(r.rng.IntN(3))
	if resource.Plural == "secrets" {
		content = fmt.Sprintf("hmac-sha256:%032x", r.rng.IntN(3))
	}
	next.Object = fmt.Appendf(nil,
		`{"metadata":{"name":%q,"resourceVersion":"%d","creationTimestamp":%q},"data":{"a":%q}}`,
		ref.Name, n, created.Format(time.RFC3339), content)
	place := ref
	place.UID = ""
	alive[place], r.last[place] = next, r.now.Add(time.Second)
	if next.Verb == history.Delete {
		delete(alive, place)
	}
	return next
}

// time returns a random time of the retention: that of a record, or one next to
// it.
func (r *replay) time() time.Time {
	for {
		t := r.records[r.rng.IntN(len(r.records))].Time.Add(time.Duration(r.rng.IntN(3) - 1))
		if t.After(r.now.Add(-replayRetention)) {
			return t
		}
	}
}

// objects returns random objects to ask about.
func (r *replay) objects() query.Objects {
	q := query.Objects{}
	if r.rng.IntN(2) == 0 {
		q.Types = [][]string{{"pods"}, {"pods.example.com", "nodes"}, {"Capsule"}, {"secrets"}}[r.rng.IntN(4)]
	}
	if r.rng.IntN(3) == 0 {
		q.Namespace = []history.NamespaceScope{"ns-0", "ns-1", history.ClusterScoped}[r.rng.IntN(3)]
	}
	if r.rng.IntN(4) == 0 {
		q.Name = fmt.Sprint("o-", r.rng.IntN(8))
	}
	return q
}

// selects reports whether a question is about an object.
func selects(q query.Objects, of history.ObjectRef) bool {
	byType := len(q.Types) == 0
	for _, t := range q.Types {
		name, group, qualified := strings.Cut(t, ".")
		if t == "Capsule" {
			name, group, qualified = "pods", "example.com", true
		}
		byType = byType || name == of.Resource && (!qualified || group == of.Group)
	}
	return byType && q.Namespace.Contains(of.Namespace) && (q.Name == "" || q.Name == of.Name)
}

// stateAt returns the newest versions at a time by place, and the first ones of
// objects that existed then and were first observed later, up to another time.
func (r *replay) stateAt(
	q query.Objects, view history.View, at, until time.Time,
) map[history.ObjectRef]*history.Record {
	state := map[history.ObjectRef]*history.Record{}
	for _, one := range r.records {
		existed := one.Initial && !one.Created.After(at) && !one.Time.After(until)
		if one.Time.After(at) && !existed || !selects(q, one.Ref) || !view.Contains(one) {
			continue
		}
		place := one.Ref
		place.UID = ""
		if state[place] = one; one.Verb == history.Delete {
			delete(state, place)
		}
	}
	return state
}

// callers returns an unrestricted service and those of some callers, with what
// they may read.
func (r *replay) callers() map[string]struct {
	service *query.Service
	view    history.View
} {
	present := r.now.Add(-60 * time.Hour).Truncate(time.Second)
	tenant := newRights("list pods ns-0/", "list pods.example.com ns-1/", "list nodes /")
	reader := newRights("list secrets /", "get secrets ns-0/")
	tenant.namespaces["ns-0"], tenant.namespaces["ns-1"] = present, r.now.Add(-1000*time.Hour)
	pods, things := schema.GroupResource{Resource: "pods"}, schema.GroupResource{Group: "example.com", Resource: "pods"}
	s := r.service(query.Options{Now: func() time.Time { return r.now }})
	return map[string]struct {
		service *query.Service
		view    history.View
	}{
		"everybody": {s, nil},
		"tenant": {s.As(tenant), history.View{
			pods:                {Namespaces: map[string]time.Time{"ns-0": present}},
			things:              {Namespaces: map[string]time.Time{"ns-1": {}}},
			{Resource: "nodes"}: {All: true},
		}},
		"reader of secrets": {s.As(reader), history.View{{Resource: "secrets"}: {All: true}}},
	}
}

// TestState_MatchesReplay compares states and differences at random times with
// those that follow from all records.
func TestState_MatchesReplay(t *testing.T) {
	queries := 60
	if testing.Short() {
		queries = 20
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := newReplay(t, seed)
			for name, caller := range r.callers() {
				for range queries {
					q := r.objects()
					r.checkState(name, caller.service, caller.view, q)
					r.checkCompare(name, caller.service, caller.view, q)
				}
			}
		})
	}
}

func (r *replay) checkState(name string, s *query.Service, view history.View, q query.Objects) {
	r.t.Helper()
	at := r.time()
	want := []string{}
	state := r.stateAt(q, view, at, at)
	for _, one := range state {
		want = append(want, fmt.Sprintf("%s %s %d %s", one.Ref, one.Ref.UID, one.Revision, r.visible(name, one)))
	}
	slices.Sort(want)
	got := []string{}
	var after history.StateCursor
	var last history.ObjectRef
	for more := true; more; {
		page, err := s.State(r.t.Context(), query.State{Objects: q, At: at, After: after, Limit: 1 + r.rng.IntN(20)})
		if err != nil {
			if len(want) > 0 {
				r.t.Fatalf("%s, %+v at %v: got error %v, want %d versions", name, q, at, err, len(want))
			}
			return
		}
		for _, one := range page.Versions {
			if last.Compare(one.Ref) >= 0 {
				r.t.Errorf("%s, %+v at %v: got %s after %s, want them in order", name, q, at, one.Ref, last)
			}
			last = one.Ref
			got = append(got, fmt.Sprintf("%s %s %d %s", one.Ref, one.Ref.UID, one.Revision, one.Object))
		}
		after, more = page.Next, page.More
		if !more && page.Total != len(got) {
			r.t.Errorf("%s, %+v at %v: got a total of %d, want %d", name, q, at, page.Total, len(got))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.t.Errorf("%s, %+v at %v: got\n%s\nwant\n%s", name, q, at, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// visible returns the object of a record as a caller may see it.
func (r *replay) visible(name string, one *history.Record) string {
	if name == "reader of secrets" && one.Ref.Namespace != "ns-0" {
		object, hash, hashed := strings.Cut(string(one.Object), "hmac-sha256:")
		if hashed {
			return object + "hmac-sha256:hidden" + hash[32:]
		}
	}
	return string(one.Object)
}

func (r *replay) checkCompare(name string, s *query.Service, view history.View, q query.Objects) {
	r.t.Helper()
	from, to := r.time(), r.time()
	if to.Before(from) {
		from, to = to, from
	}
	before, after := r.stateAt(q, view, from, to), r.stateAt(q, view, to, to)
	want, initial := []string{}, 0
	for place, one := range before {
		since := from
		if one.Time.After(from) {
			since = one.Time
			initial++
		}
		switch other := after[place]; {
		case other == nil:
			want = append(want, fmt.Sprintf("deleted %s %d", place, r.between(place, view, since, to)))
		case other.Ref.UID != one.Ref.UID:
			want = append(want, fmt.Sprintf("recreated %s %d", place, r.between(place, view, since, to)))
		case other != one:
			want = append(want, fmt.Sprintf("changed %s %d", place, r.between(place, view, since, to)))
		}
	}
	for place := range after {
		if before[place] == nil {
			want = append(want, fmt.Sprintf("created %s %d", place, r.between(place, view, from, to)))
		}
	}
	slices.Sort(want)
	got := []string{}
	var cursor history.StateCursor
	for more := true; more; {
		page, err := s.Compare(r.t.Context(), query.Compare{
			Objects: q, From: from, To: to, After: cursor, Limit: 1 + r.rng.IntN(20), Noise: true, Count: true,
		})
		if err != nil {
			if len(want) > 0 {
				r.t.Fatalf("%s, %+v from %v to %v: got error %v, want %d differences",
					name, q, from, to, err, len(want))
			}
			return
		}
		existed := query.ObjectCount{Objects: len(before), Initial: initial, Exact: true}
		if n := page.Existed; cursor.IsZero() && (n == nil || *n != existed) {
			r.t.Errorf("%s, %+v from %v to %v: got the count %+v, want %+v", name, q, from, to, n, existed)
		}
		for i := range page.Differences {
			d := &page.Differences[i]
			r.checkDifference(name, d, before, after)
			of := d.After.Ref
			of.UID = ""
			got = append(got, fmt.Sprintf("%s %s %d", d.Kind, of, d.Versions))
		}
		cursor, more = page.Next, page.More
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.t.Errorf("%s, %+v from %v to %v: got\n%s\nwant\n%s",
			name, q, from, to, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkDifference compares the revisions and the noise of a difference.
func (r *replay) checkDifference(
	name string, d *query.Difference, before, after map[history.ObjectRef]*history.Record,
) {
	r.t.Helper()
	place := d.After.Ref
	place.UID = ""
	was, is := before[place], after[place]
	if was != nil && (d.Before == nil || d.Before.Revision != was.Revision) ||
		is != nil && d.After.Revision != is.Revision {
		r.t.Errorf("%s: got versions %+v and %+v, want %+v and %+v", place, d.Before, d.After, was, is)
	}
	if d.Kind == query.Deleted && d.After.Verb != history.Delete {
		r.t.Errorf("%s: got %+v, want its deletion", place, d.After)
	}
	if d.Kind != query.Changed {
		return
	}
	content := func(one *history.Record) string {
		_, data, _ := strings.Cut(r.visible(name, one), `"data"`)
		return data
	}
	if got, want := d.Noise, content(was) == content(is); got != want || got != (d.Summary == "") {
		r.t.Errorf("%s: got noise %t, summary %q, want noise %t", place, got, d.Summary, want)
	}
}

// between returns the number of records of a place after a time, up to another.
func (r *replay) between(place history.ObjectRef, view history.View, from, to time.Time) (n int) {
	for _, one := range r.records {
		of := one.Ref
		of.UID = ""
		if of == place && view.Contains(one) && one.Time.After(from) && !one.Time.After(to) {
			n++
		}
	}
	return n
}

// TestCompare_InitialVersionsAreEarlierState compares the time since the start
// of a recording. Resources begin one after another, and their lists return
// what existed before.
func TestCompare_InitialVersionsAreEarlierState(t *testing.T) {
	l := newEmptyLog(t)
	for _, r := range []history.Resource{
		{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true},
		{Version: "v1", Plural: "services", Kind: "Service", Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node"},
	} {
		if err := l.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	start := l.now
	created := func(at time.Time, n int) string {
		return fmt.Sprintf(`{"metadata":{"creationTimestamp":%q},"data":{"n":"%d"}}`, at.Format(time.RFC3339), n)
	}
	old := start.Add(-time.Hour)
	list := func(resource string, versions ...*history.Record) {
		began := l.now
		for _, r := range versions {
			r.Initial = true
		}
		l.put(versions...)
		if err := l.Append(t.Context(), &history.Batch{Checkpoints: []history.Checkpoint{
			{Resource: resource, RV: "1", Time: began},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	first := func(resource, name string, at time.Time) *history.Record {
		return record(ref("", resource, "shop", name, 1), history.Create, created(at, 1))
	}
	list("pods", first("pods", "same", old), first("pods", "changed", old), first("pods", "deleted", old),
		first("pods", "noise", old))
	list("services", first("services", "same", old), first("services", "changed", old),
		first("services", "during", start.Add(time.Second)))
	update := func(resource, name string, verb history.Verb, object string) *history.Record {
		return record(ref("", resource, "shop", name, 1), verb, object)
	}
	l.put(
		update("pods", "changed", history.Update, created(old, 2)),
		update("pods", "deleted", history.Update, created(old, 2)),
		update("pods", "deleted", history.Delete, created(old, 2)),
		update("pods", "noise", history.Update, created(old, 1)),
		update("services", "changed", history.Update, created(old, 2)),
		update("services", "changed", history.Update, created(old, 3)),
	)
	l.put(first("pods", "new", l.now))
	brief := update("pods", "brief", history.Create, created(l.now, 1))
	l.put(brief, update("pods", "brief", history.Delete, created(l.now, 1)))
	list("nodes", record(ref("", "nodes", "", "late", 1), history.Create, created(old, 1)))
	page, err := l.service(query.Options{}).Compare(t.Context(), query.Compare{From: start, Limit: 50, Count: true})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, d := range page.Differences {
		one := d.After
		if one == nil {
			one = d.Before
		}
		got = append(got, fmt.Sprintf("%s %s/%s %d", d.Kind, one.Ref.Resource, one.Ref.Name, d.Versions))
	}
	want := []string{
		"changed pods/changed 1", "deleted pods/deleted 2", "created pods/new 1", "changed services/changed 2",
		"created services/during 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := page.Existed; n == nil || *n != (query.ObjectCount{Objects: 7, Initial: 7, Exact: true}) {
		t.Errorf("got the count %+v, want 7 objects, all of which were first observed later", n)
	}
}

// A first version is not the earlier state if another object had the name and
// was deleted in between.
func TestCompare_InitialVersionDoesNotReplaceAnother(t *testing.T) {
	l := newLog(t)
	l.put(record(ref("", "pods", "shop", "web", 1), history.Create, `{"a":1}`))
	from := l.now
	l.put(record(ref("", "pods", "shop", "web", 1), history.Delete, `{"a":1}`))
	second := record(ref("", "pods", "shop", "web", 2), history.Create, `{"a":2}`)
	second.Initial = true
	third := record(ref("", "pods", "shop", "web", 3), history.Create, `{"a":2}`)
	third.Initial = true
	l.put(second, record(second.Ref, history.Update, `{"a":3}`), record(second.Ref, history.Delete, `{"a":3}`))
	l.put(third, record(third.Ref, history.Update, `{"a":4}`))
	page, err := l.service(query.Options{}).Compare(t.Context(), query.Compare{From: from, Limit: 10})
	if err != nil || len(page.Differences) != 1 {
		t.Fatalf("got %+v, error %v, want one difference", page.Differences, err)
	}
	if d := page.Differences[0]; d.Kind != query.Recreated || d.Versions != 6 || d.Before.Revision != 1 ||
		d.After.Ref.UID != "uid-pods-web-3" {
		t.Errorf("got %+v, want pod 1 recreated as 3 after 6 versions", d)
	}
}

// An object that exists in both states only under other UIDs, and in between
// under a third one, is one difference.
func TestCompare_IncarnationsAreOneDifference(t *testing.T) {
	l := newLog(t)
	var times []time.Time
	for i := range 3 {
		o := ref("", "pods", "shop", "web", 3-i) // the UIDs descend
		l.put(record(o, history.Create, `{}`))
		times = append(times, l.now)
		l.put(record(o, history.Delete, `{}`))
	}
	page, err := l.service(query.Options{}).Compare(t.Context(), query.Compare{From: times[0], To: times[2], Limit: 10})
	if err != nil || len(page.Differences) != 1 {
		t.Fatalf("got %+v, error %v, want one difference", page.Differences, err)
	}
	if d := page.Differences[0]; d.Kind != query.Recreated || d.Versions != 4 ||
		d.Before.Ref.UID != "uid-pods-web-3" || d.After.Ref.UID != "uid-pods-web-1" {
		t.Errorf("got %+v, want pod 3 recreated as 1 after 4 versions", d)
	}
}

// TestCompare_RemainderAndCount checks what tells an object that is as it was
// from others, and how many objects there were.
func TestCompare_RemainderAndCount(t *testing.T) {
	l := newLog(t)
	const object = `{"metadata":{"annotations":{"deployment.kubernetes.io/revision":"%d"}},"spec":{"replicas":%d,` +
		`"template":{"metadata":{"annotations":{%s}}}},"status":{"readyReplicas":%d}}`
	const restarted = `"kubectl.kubernetes.io/restartedAt":"2026-11-25T09:00:00Z"`
	put := func(name string, verb history.Verb, revision, replicas, ready int, annotations string) {
		l.put(record(ref("apps", "deployments", "shop", name, 1), verb,
			fmt.Sprintf(object, revision, replicas, annotations, ready)))
	}
	for _, name := range []string{"restart", "same", "scaled", "status", "template"} {
		put(name, history.Create, 1, 1, 1, "")
	}
	l.put(owned(ref("apps", "replicasets", "shop", "web-1", 1), ref("apps", "deployments", "shop", "same", 1)))
	from := l.now
	put("restart", history.Update, 2, 1, 1, restarted)
	put("scaled", history.Update, 2, 2, 1, restarted)
	put("status", history.Update, 2, 1, 0, "")
	put("template", history.Update, 2, 1, 1, `"team":"a"`)
	put("new", history.Create, 1, 1, 1, "")
	l.put(owned(ref("apps", "replicasets", "shop", "web-2", 1), ref("apps", "deployments", "shop", "same", 1)))
	page, err := l.service(query.Options{}).Compare(t.Context(), query.Compare{From: from, Limit: 10, Count: true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, d := range page.Differences {
		got[d.After.Ref.Name] = fmt.Sprint(d.Remainder, d.Derived)
	}
	want := map[string]string{
		"restart": "restartfalse", "scaled": "false", "status": "statusfalse", "template": "false", "new": "false",
		"web-2": "true",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got the remainders %v, want %v", got, want)
	}
	if n := page.Existed; n == nil || *n != (query.ObjectCount{Objects: 5, Exact: true}) {
		t.Errorf("got the count %+v, want 5 objects", n)
	}
	page, err = l.service(query.Options{Effort: 3}).Compare(t.Context(),
		query.Compare{From: from, Limit: 10, Count: true})
	if n := page.Existed; err != nil || n == nil || *n != (query.ObjectCount{Objects: 3}) {
		t.Errorf("with effort 3: got the count %+v, error %v, want 3 objects, not exact", n, err)
	}
}

// A page of a comparison ends after some effort, even if all objects on it
// differ by noise only.
func TestCompare_EffortIsBounded(t *testing.T) {
	l := newLog(t)
	for i := range 20 {
		l.put(record(ref("", "pods", "shop", fmt.Sprintf("web-%02d", i), 1), history.Create,
			`{"metadata":{"resourceVersion":"1"}}`))
	}
	from := l.now
	for i := range 20 {
		l.put(record(ref("", "pods", "shop", fmt.Sprintf("web-%02d", i), 1), history.Update,
			`{"metadata":{"resourceVersion":"2"}}`))
	}
	l.put(record(ref("", "pods", "shop", "web-99", 1), history.Create, `{}`))
	s := l.service(query.Options{PageBytes: 100})
	q, pages, found := query.Compare{From: from, Limit: 10}, 0, 0
	for more := true; more && pages < 100; pages++ {
		page, err := s.Compare(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Differences)
		q.After, more = page.Next, page.More
	}
	if found != 1 || pages < 3 || pages > 10 {
		t.Errorf("got %d differences on %d pages, want 1 on 3 to 10 pages", found, pages)
	}
}

// A version that becomes visible after the first page is on no later page.
func TestState_PagesDoNotMove(t *testing.T) {
	l := newLog(t)
	for i := range 4 {
		l.put(record(ref("", "pods", "shop", fmt.Sprint("web-", i), 1), history.Create, `{}`))
	}
	now := l.now.Add(time.Hour)
	s := l.service(query.Options{Now: func() time.Time { return now }})
	q := query.State{Limit: 3}
	first, err := s.State(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	l.now = now.Add(-time.Second) // a commit that began before the question
	l.put(record(ref("", "pods", "shop", "web-9", 1), history.Create, `{}`))
	q.After = first.Next
	second, err := s.State(context.WithoutCancel(t.Context()), q)
	if err != nil || len(second.Versions) != 1 || !second.At.Equal(first.At) || first.Final {
		t.Errorf("got %d versions at %v, error %v, want 1 at %v, and no final page",
			len(second.Versions), second.At, err, first.At)
	}
}

// failingPod is a pod whose container can't be started.
const failingPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"app"}]},` +
	`"status":{"phase":"Pending","containerStatuses":[{"name":"app","ready":false,` +
	`"state":{"waiting":{"reason":"ImagePullBackOff","message":"image not found"}}}]}}`

// A state of objects with a problem has each of them once, whatever the size of
// pages and the number of other objects between them.
func TestState_Problem(t *testing.T) {
	l := newLog(t)
	var want []string
	for i := range 30 {
		name, body := fmt.Sprintf("web-%02d", i), `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}`
		if i%7 == 3 {
			body = failingPod
			want = append(want, name)
		}
		r := record(ref("", "pods", "shop", name, i), history.Create, body)
		r.Kind, r.Initial = "Pod", i%2 == 0
		l.put(r)
	}
	recovered := record(ref("", "pods", "shop", "web-03", 3), history.Update, `{"apiVersion":"v1","kind":"Pod"}`)
	recovered.Kind = "Pod"
	before := l.now
	l.put(recovered)
	for _, tt := range []struct {
		at    time.Time
		limit int
		want  []string
	}{
		{before, 1, want}, {before, 2, want}, {before, 100, want}, {time.Time{}, 3, want[1:]},
	} {
		s := l.service(query.Options{Effort: 4})
		q := query.State{At: tt.at, Limit: tt.limit, Problem: true}
		var got []string
		pages := 0
		for {
			page, err := s.State(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Versions {
				got = append(got, r.Ref.Name)
			}
			if pages++; !page.More || pages > 40 {
				break
			}
			q.After = page.Next
		}
		if !slices.Equal(got, tt.want) || pages < 8 {
			t.Errorf("at %v, limit %d: got %v on %d pages, want %v on at least 8", tt.at, tt.limit, got, pages, tt.want)
		}
	}
}
