package recorder_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

var (
	whoSeed    = flag.Uint64("who-seed", 0, "seed of the writes in the attribution tests; 0 means a random seed")
	whoObjects = flag.Int("who-objects", 15,
		"objects in the attribution tests, with 60 writes each; use 1000 for a long run")
)

// lives returns the versions of random objects. Managers wrote them with pauses
// between nothing and more than a second.
func lives(t *testing.T, seed uint64) (objects [][]written) {
	t.Helper()
	rv, n := 10, *whoObjects
	if testing.Short() {
		n = min(n, 5)
	}
	synctest.Test(t, func(t *testing.T) {
		for i := range n {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			s := newFieldServer(t, r, fmt.Sprintf("g%d", i), rv)
			for range 60 {
				time.Sleep([]time.Duration{
					0, 0, 0, 150 * time.Millisecond, 400 * time.Millisecond, 1200 * time.Millisecond,
				}[r.IntN(6)])
				s.write()
			}
			s.remove()
			rv = s.rv
			objects = append(objects, s.versions)
		}
	})
	return objects
}

// seed returns the seed of the test and logs it.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := *whoSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-who-seed=%d", seed)
	return seed
}

// scripted opens a recorder whose clock is set by the returned function.
func scripted(t *testing.T) (w *world, set func(time.Time)) {
	t.Helper()
	var now time.Time
	clock := make(chan time.Time, 1)
	clock <- now
	read := func() time.Time {
		at := <-clock
		clock <- at
		return at
	}
	w = open(t, recorder.Options{Now: read, BatchDelay: 1}, nil)
	return w, func(at time.Time) { <-clock; clock <- at }
}

// TestAttribution_NamesTheWriterOrNobody compares the recorded managers with
// the real writers.
func TestAttribution_NamesTheWriterOrNobody(t *testing.T) {
	objects := lives(t, seed(t))
	w, set := scripted(t)
	s := w.stream(gauges)
	w.feed(s, "sync", "end 1")
	truth := map[string]written{}
	for _, v := range slices.Concat(objects...) {
		truth[v.rv] = v
		set(v.at)
		if err := s.Observe(t.Context(), v.event); err != nil {
			t.Fatal(err)
		}
	}
	right, unnamed := 0, map[string]int{}
	for _, r := range w.records(gauges) {
		want := truth[r.RV]
		switch m := r.Managers; {
		case len(m) == 0:
			unnamed[want.how]++
		case len(m) == 1 && m[0].IsInferred() && m[0].Name == "" && m[0].Subresource == want.subresource:
			unnamed[want.how+", inferred"]++
		case len(m) == 1 && !m[0].IsInferred() && m[0].Name == want.manager && m[0].Subresource == want.subresource:
			right++
		default:
			t.Errorf("%s %s@%s: got %+v, want %s of %s by %q, or no manager",
				r.Verb, r.Ref.Name, r.RV, m, want.how, want.subresource, want.manager)
		}
	}
	for _, how := range slices.Sorted(maps.Keys(unnamed)) {
		t.Logf("no manager: %5d %s", unnamed[how], how)
	}
	t.Logf("named %d of %d writers", right, len(truth))
	least := len(truth) / 2
	if testing.Short() { // few objects, which may be unusual
		least = len(truth) / 3
	}
	if right < least {
		t.Errorf("named %d of %d writers, want at least %d", right, len(truth), least)
	}
}

// TestAttribution_OldEntryNamesNobody changes a field without its manager's
// entry, as a server does that fails to update entries.
func TestAttribution_OldEntryNamesNobody(t *testing.T) {
	w, set := scripted(t)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, after := range []time.Duration{0, 500 * time.Millisecond, 5 * time.Second, 6 * time.Second} {
		set(began.Add(after))
		object := strings.Replace(managed(fmt.Sprint(2+i), "a 05 x"), "{", fmt.Sprintf(`{"x":%d,`, i), 1)
		w.observe(s, []string{"+", "~"}[min(i, 1)], object)
	}
	var got []int
	for _, r := range w.records(pods) {
		got = append(got, len(r.Managers))
	}
	if want := []int{1, 1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("got %d managers per version, want %d", got, want)
	}
}

// TestAttribution_DefaultIsNotAScale drops spec.replicas from what a manager
// applies: the API server sets the default, and the field has no owner, as
// after a scale.
func TestAttribution_DefaultIsNotAScale(t *testing.T) {
	const applied = `{"manager":"argo","operation":"Apply","time":"2026-01-02T03:04:05Z",` +
		`"fieldsV1":{"f:spec":{%s"f:paused":{}}}}`
	owned, lost := fmt.Sprintf(applied, `"f:replicas":{},`), fmt.Sprintf(applied, "")
	for name, tt := range map[string]struct {
		resource history.Resource
		from, to int
		before   string // managedFields
		want     bool   // a scale
	}{
		"the default, and its owner lost the field":    {deployments, 2, 1, owned, false},
		"the default, without an owner":                {deployments, 2, 1, lost, true},
		"another number, and its owner lost the field": {deployments, 2, 0, owned, true},
		"a custom resource has any default":            {gauges, 2, 0, owned, false},
		"a custom resource, without an owner":          {gauges, 2, 5, lost, true},
		"the default, and its owner lost all its fields": {
			deployments, 2, 1, owned + "," + strings.Replace(owned, "argo", "flux", 1), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, set := scripted(t)
			set(time.Date(2026, 1, 2, 4, 0, 0, 0, time.UTC))
			s := w.stream(tt.resource)
			w.feed(s, "sync", "end 1")
			for i, version := range []struct {
				replicas int
				entries  string
			}{{tt.from, tt.before}, {tt.to, lost}} {
				w.observe(s, []string{"+", "~"}[i],
					fmt.Sprintf(`{"apiVersion":%q,"metadata":{"name":"web","namespace":"shop","uid":"u1",`+
						`"resourceVersion":"%d","managedFields":[%s]},"spec":{"paused":false,"replicas":%d}}`,
						tt.resource.APIVersion(), 2+i, version.entries, version.replicas))
			}
			records := w.records(tt.resource)
			m := records[len(records)-1].Managers
			if got := len(m) == 1 && m[0].IsInferred() && m[0].Subresource == "scale"; got != tt.want ||
				!got && len(m) > 0 {
				t.Errorf("got managers %+v, want a scale: %t", m, tt.want)
			}
		})
	}
}

// forgetful is a log whose heads were rebuilt by a repair: they have no hashes.
type forgetful struct{ recorder.Log }

func (l forgetful) Heads(ctx context.Context, r schema.GroupResource) iter.Seq2[history.Head, error] {
	return func(yield func(history.Head, error) bool) {
		for h, err := range l.Log.Heads(ctx, r) {
			h.ManagedHashes = nil
			if !yield(h, err) {
				return
			}
		}
	}
}

// TestAttribution_SyncRestoresManagedHashes lists an unchanged object after a
// repair. A later change without an entry then has no manager. It does not have
// the manager of the only entry, which existed before.
func TestAttribution_SyncRestoresManagedHashes(t *testing.T) {
	now := atomic.Pointer[time.Time]{}
	now.Store(new(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	clock := func() time.Time { return *now.Load() }
	w := open(t, recorder.Options{Now: clock, BatchDelay: 1}, func(l recorder.Log) recorder.Log { return forgetful{l} })
	version := func(rv string) string { return strings.Replace(managed(rv, "a 05 x"), "{", `{"x":`+rv+`,`, 1) }
	list := func() *recorder.Stream {
		s := w.stream(pods)
		w.feed(s, "sync")
		w.observe(s, "+", version("2"))
		w.feed(s, "end 2")
		return s
	}
	list()
	w.restart()
	s := list()
	now.Store(new(clock().Add(time.Minute)))
	w.observe(s, "~", version("3"))
	records := w.records(pods)
	if last := records[len(records)-1]; last.RV != "3" || len(last.Managers) != 0 {
		t.Errorf("got version %s by %+v, want version 3 without a manager", last.RV, last.Managers)
	}
}

// TestAttribution_AfterGapNamesOnlyWritersInIt does not observe some versions,
// and lists the object afterwards. Every named manager wrote one of the missed
// versions, and changed the named fields.
func TestAttribution_AfterGapNamesOnlyWritersInIt(t *testing.T) {
	n := seed(t)
	r := rand.New(rand.NewPCG(n, 1<<32))
	w, set := scripted(t)
	s := w.stream(gauges)
	w.feed(s, "sync", "end 1")
	in := map[string][]written{}      // the missed versions up to a recorded one
	earlier := map[string][]written{} // the versions missed before those
	before := map[string]written{}
	for _, versions := range lives(t, n) {
		var missed []written
		for i := 0; i < len(versions); {
			next := i
			if i > 0 && i < len(versions)-2 && r.IntN(6) == 0 { // the last one is the deletion
				next = min(i+1+r.IntN(6), len(versions)-2)
			}
			last := versions[next]
			in[last.rv], earlier[last.rv] = versions[i:next+1], missed
			missed = slices.Concat(missed, versions[i:next])
			if i > 0 {
				before[last.rv] = versions[i-1]
			}
			set(last.at)
			gap := next > i
			if gap {
				w.feed(s, "sync")
			}
			if err := s.Observe(t.Context(), last.event); err != nil {
				t.Fatal(err)
			}
			if gap {
				w.feed(s, "end "+last.rv)
			}
			i = next + 1
		}
	}
	named := 0
	for _, r := range w.records(gauges) {
		if r.InferredSince.IsZero() {
			continue
		}
		for _, m := range r.Managers {
			named++
			checkInGap(t, r, m, before[r.RV], in[r.RV], earlier[r.RV])
		}
	}
	if named == 0 {
		t.Error("got no named manager after a gap, want some")
	}
	t.Logf("named %d writers after gaps", named)
}

// checkInGap checks that a manager wrote in a gap, and that its fields changed.
//
// A PUT of an old copy in the gap may restore the entry of a write in an
// earlier gap. It looks like the entry of a new write. See the limits in
// docs/design/0003-who-wrote-a-version.md.
func checkInGap(t *testing.T, r *history.Record, m history.Manager, before written, gap, earlier []written) {
	t.Helper()
	by := func(v written) bool { return v.manager == m.Name && v.subresource == m.Subresource }
	if slices.ContainsFunc(gap, func(v written) bool { return v.how == oldCopy }) && slices.ContainsFunc(earlier, by) {
		return
	}
	wrote := slices.ContainsFunc(gap, func(v written) bool {
		// An upgrade renames the entry of a write in the gap, which is not
		// visible.
		return by(v) || m.Name == upgraded && v.how == "upgrade to server-side apply"
	})
	if !wrote {
		t.Errorf("%s@%s: got %+v, want only the writers since %s", r.Ref.Name, r.RV, m, before.rv)
	}
	changed := map[string]bool{}
	for _, c := range diff.Objects(content(t, before), content(t, gap[len(gap)-1])) {
		changed[c.Path.String()] = true
	}
	for _, field := range m.Fields {
		if !changed[field] {
			t.Errorf("%s@%s: got %s as the writer of %s, want one of the fields %v",
				r.Ref.Name, r.RV, m.Name, field, changed)
		}
	}
}

func content(t *testing.T, v written) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(v.event.Object, &object); err != nil {
		t.Fatal(err)
	}
	return object
}
