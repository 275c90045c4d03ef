package query_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// foldedWorld writes random versions of Deployments, their ReplicaSets and
// Pods, ConfigMaps, and Events about all of them. owners has the owner of each
// object.
type foldedWorld struct {
	log     *log
	records []*history.Record
	owners  map[types.UID]types.UID
}

func newFoldedWorld(t *testing.T, random *rand.Rand, versions int) *foldedWorld {
	t.Helper()
	w := &foldedWorld{log: newEmptyLog(t), owners: map[types.UID]types.UID{}}
	var deployments, sets, pods, all []history.ObjectRef
	child := func(resource, group string, n int, of []history.ObjectRef) history.ObjectRef {
		owner := of[random.IntN(len(of))]
		o := ref(group, resource, "shop", fmt.Sprint(resource, n), 1)
		w.owners[o.UID] = owner.UID
		return o
	}
	for n := range 3 {
		deployments = append(deployments, ref("apps", "deployments", "shop", fmt.Sprint("web", n), 1))
	}
	for n := range 5 {
		sets = append(sets, child("replicasets", "apps", n, deployments))
	}
	for n := range 9 {
		pods = append(pods, child("pods", "", n, sets))
	}
	all = slices.Concat(deployments, sets, pods, []history.ObjectRef{ref("", "configmaps", "shop", "settings", 1)})
	known := map[types.UID]bool{}
	for n := range versions {
		o := all[random.IntN(len(all))]
		if n < len(all) {
			o = all[n] // an owner is recorded before what it owns
		}
		r := record(o, history.Update, fmt.Sprintf(`{"n":%d}`, n))
		if owner := w.owners[o.UID]; owner != "" {
			r.Owners = []types.UID{owner}
			r.Class = history.Consequence
		}
		switch {
		case !known[o.UID]:
			r.Verb = history.Create
			known[o.UID] = true
		case random.IntN(8) == 0:
			r.Class = history.Onset
		case random.IntN(3) == 0:
			r.Class = history.Consequence
		case random.IntN(40) == 0:
			r.Class = history.Root // by a person
		}
		if n >= len(all) && random.IntN(5) == 0 {
			r = event(fmt.Sprint("event", n), o, o.UID)
			r.Class = []history.Class{history.Consequence, history.Onset}[random.IntN(2)]
		}
		r.Managers = []history.Manager{{Name: []string{"helm", "kubectl-edit"}[random.IntN(2)]}}
		r.Summary = &history.Summary{Text: []string{"a 1 → 2", "a 2 → 1", "b"}[random.IntN(3)]}
		w.log.put(r)
		w.records = append(w.records, r)
	}
	return w
}

// cause returns the newest root change before a version in its chain of owners,
// or nil.
func (w *foldedWorld) cause(n int) *history.Record {
	r := w.records[n]
	chain := map[types.UID]bool{}
	uid := r.Ref.UID
	if r.Regarding != nil {
		uid = r.Regarding.UID
	}
	for ; uid != ""; uid = w.owners[uid] {
		chain[uid] = true
	}
	for i := n - 1; i >= 0; i-- {
		if before := w.records[i]; before.Class == history.Root && chain[before.Ref.UID] {
			return before
		}
	}
	return nil
}

// TestFolded_CountsEachVersionOnce compares folded pages of random versions
// with the definition: each root change is in one row of one page, and each
// consequence belongs to the newest root change of its chain of owners.
func TestFolded_CountsEachVersionOnce(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 7))
		w := newFoldedWorld(t, random, 150)
		s := w.log.service(query.Options{})
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			for _, limit := range []int{3, 1000} {
				t.Run(fmt.Sprint("seed ", seed, ", order ", order, ", limit ", limit), func(t *testing.T) {
					w.check(t, s, order, limit)
				})
			}
		}
	}
}

func (w *foldedWorld) check(t *testing.T, s *query.Service, order history.Order, limit int) {
	t.Helper()
	q := query.Timeline{Order: order, Limit: limit}
	roots, onsets := map[time.Time]int{}, map[time.Time]int{}
	var previous time.Time
	for {
		page, err := s.Folded(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Rows) > limit || len(page.Rows) == 0 && page.More {
			t.Fatalf("got a page of %d rows, want 1 to %d", len(page.Rows), limit)
		}
		for _, row := range page.Rows {
			if !previous.IsZero() && row.Start().Before(previous) != (order == history.NewestFirst) {
				t.Errorf("row at %s: got it after %s, want order %d", row.Start(), previous, order)
			}
			previous = row.Start()
			in := map[time.Time]bool{}
			for _, c := range row.Changes {
				roots[c.Time]++
				in[c.Time] = true
			}
			for _, v := range row.Onsets {
				onsets[v.Time]++
			}
			if len(row.Changes) > 0 {
				w.checkRow(t, row, in)
			}
		}
		if !page.More {
			break
		}
		q.After, previous = page.Next, time.Time{}
	}
	for _, r := range w.records {
		if got, want := roots[r.Time], r.Class == history.Root; got != 1 && want || got > 0 && !want {
			t.Errorf("%s %s at %s: got it in %d rows, want it once if it is a root change: %t",
				r.Class, r.Ref, r.Time, got, want)
		}
		if got, want := onsets[r.Time], r.Class == history.Onset; got != 1 && want || got > 0 && !want {
			t.Errorf("%s %s at %s: got it as the onset of %d rows, want one if it is an onset: %t",
				r.Class, r.Ref, r.Time, got, want)
		}
	}
}

func (w *foldedWorld) checkRow(t *testing.T, row query.FoldedRow, in map[time.Time]bool) {
	t.Helper()
	want := 0
	for n, r := range w.records {
		if r.Class == history.Root {
			continue
		}
		// What follows from a change inside of the row belongs to it too.
		if cause := w.cause(n); cause != nil && in[cause.Time] {
			want++
		}
	}
	if row.Consequences != want || !row.Counted {
		t.Errorf("%s %s at %s with %d changes: got %d consequences (exact: %t), want %d",
			row.Kind, row.Of.Ref, row.Start(), len(row.Changes), row.Consequences, row.Counted, want)
	}
	if row.Kind == fold.Single && len(row.Changes) != 1 {
		t.Errorf("got %d changes in a row of one", len(row.Changes))
	}
}

// TestFolded_Surroundings checks what rows show beyond their changes.
func TestFolded_Surroundings(t *testing.T) {
	l := newEmptyLog(t)
	config, web := ref("", "configmaps", "shop", "config", 1), ref("apps", "deployments", "shop", "web", 1)
	service, set := ref("", "services", "shop", "web", 1), ref("apps", "replicasets", "shop", "web-1", 1)
	pod := ref("", "pods", "shop", "web-1-a", 1)
	put := func(o history.ObjectRef, verb history.Verb, class history.Class, object string) *history.Record {
		r := record(o, verb, object)
		r.Class = class
		r.Managers = []history.Manager{{Name: "helm", Operation: "Update"}}
		l.put(r)
		return r
	}
	deployment := func(image string, generation, observed, ready int) string {
		return fmt.Sprintf(`{"metadata":{"name":"web","namespace":"shop","generation":%d,`+
			`"labels":{"app.kubernetes.io/managed-by":"Helm","helm.sh/chart":"web-1.2.3"},`+
			`"annotations":{"meta.helm.sh/release-name":"web","meta.helm.sh/release-namespace":"shop"}},`+
			`"spec":{"replicas":1,"template":{"spec":{"containers":[{"name":"app","image":%q,`+
			`"envFrom":[{"configMapRef":{"name":"config"}}]}]}}},"status":{"observedGeneration":%d,`+
			`"replicas":1,"updatedReplicas":1,"readyReplicas":%d,"availableReplicas":%d}}`,
			generation, image, observed, ready, ready)
	}
	put(config, history.Create, history.Root, `{"metadata":{"name":"config"},"data":{"a":"1"}}`)
	put(web, history.Create, history.Root, deployment("web:1", 1, 0, 0))
	put(web, history.Update, history.Consequence, deployment("web:1", 1, 1, 1))
	put(web, history.Update, history.Root, deployment("web:2", 2, 1, 1))
	put(web, history.Update, history.Consequence, deployment("web:2", 2, 2, 1))
	put(service, history.Create, history.Root, `{"metadata":{"name":"web"},"spec":{"selector":{"app":"wep"}}}`)
	put(config, history.Update, history.Root, `{"metadata":{"name":"config"},"data":{"a":"2"}}`)
	put(web, history.Update, history.Root, deployment("web:1", 3, 2, 1))
	put(set, history.Create, history.Consequence, `{"metadata":{"ownerReferences":[{"controller":true}]}}`).Owners = nil
	replica := record(set, history.Update, `{}`)
	replica.Owners, replica.Class = []types.UID{web.UID}, history.Consequence
	crash := record(pod, history.Create, `{"metadata":{"name":"web-1-a"},"status":{"phase":"Running",`+
		`"containerStatuses":[{"name":"app","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},`+
		`"lastState":{"terminated":{"exitCode":1,"reason":"Error","message":"no a"}}}]}}`)
	crash.Owners, crash.Class = []types.UID{set.UID}, history.Onset
	l.put(replica, crash)
	put(web, history.Update, history.Consequence, deployment("web:1", 3, 3, 0))

	page, err := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }}).
		Folded(t.Context(), query.Timeline{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range page.Rows {
		text := fmt.Sprint(row.Of.Ref.Resource, "#", row.Last().Revision)
		if o := row.Outcome; o != nil {
			text += fmt.Sprintf(": %s %s", o.State, o.Text)
		}
		if row.Again > 0 {
			text += fmt.Sprint(", again ", row.Again)
		}
		if len(row.UsedBy) > 0 {
			text += ", used by " + row.UsedBy[0].Ref.Name
		}
		if row.AfterChange != nil {
			text += fmt.Sprintf(", after %s#%d", row.AfterChange.Ref.Name, row.AfterChange.Revision)
		}
		if row.Delivery != "" {
			text += ", " + row.Delivery
		}
		got = append(got, text)
	}
	want := []string{
		"configmaps#1, used by web",
		"deployments#1: ready 1/1 ready, chart web-1.2.3",
		"deployments#3: ready 1/1 ready, chart web-1.2.3",
		"services#1: failing matches 0 pods",
		"configmaps#2, used by web",
		`deployments#5: failing pod/web-1-a CrashLoopBackOff, exit 1 "no a", again 1, after config#2, ` +
			"chart web-1.2.3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestFolded_NamespaceDeletedTwice checks that the outcome of a change ends
// when the deletion of its own namespace was requested, and not that of a later
// namespace of the same name.
func TestFolded_NamespaceDeletedTwice(t *testing.T) {
	l := newEmptyLog(t)
	put := func(o history.ObjectRef, verb history.Verb, class history.Class, object string) {
		r := record(o, verb, object)
		r.Class, r.Summary = class, &history.Summary{Text: "a 1 → 2"}
		l.put(r)
	}
	for n := 1; n <= 2; n++ {
		namespace, web := ref("", "namespaces", "", "shop", n), ref("apps", "deployments", "shop", "web", n)
		deployment := func(ready int) string {
			return fmt.Sprintf(`{"metadata":{"name":"web","generation":1},"spec":{"replicas":1},"status":{`+
				`"observedGeneration":1,"replicas":1,"updatedReplicas":1,"readyReplicas":%d,"availableReplicas":%d}}`,
				ready, ready)
		}
		put(namespace, history.Create, history.Root, `{"metadata":{"name":"shop"}}`)
		put(web, history.Create, history.Root, deployment(0))
		put(web, history.Update, history.Consequence, deployment(1))
		requested := fmt.Sprintf(`{"metadata":{"name":"shop","deletionTimestamp":%q}}`,
			l.now.Add(time.Second).Format(time.RFC3339))
		put(namespace, history.Update, history.Consequence, requested)
		put(web, history.Update, history.Consequence, deployment(0))
		put(web, history.Delete, history.Root, deployment(0))
		put(namespace, history.Delete, history.Root, requested)
	}
	reads := &deletionReads{Store: l.Store}
	s := query.New(reads, query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	for _, tt := range []struct {
		order history.Order
		limit int
		rows  int // of the Deployments' creations
	}{{history.OldestFirst, 6, 2}, {history.OldestFirst, 3, 1}, {history.NewestFirst, 3, 1}} {
		reads.n.Store(0)
		page, err := s.Folded(t.Context(), query.Timeline{Limit: tt.limit, Order: tt.order})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range page.Rows {
			if row.Of.Ref.Resource == "deployments" && row.Outcome != nil {
				got = append(got, fmt.Sprint(row.Outcome.State, " ", row.Outcome.Text))
			}
		}
		if want := slices.Repeat([]string{"ready 1/1 ready"}, tt.rows); !slices.Equal(got, want) {
			t.Errorf("order %d, limit %d: got outcomes %q, want %q", tt.order, tt.limit, got, want)
		}
		if n := reads.n.Load(); n > 2 {
			t.Errorf("order %d, limit %d: got %d reads of 2 deleted namespaces, want 2", tt.order, tt.limit, n)
		}
	}
}

// deletionReads is a log that counts the deleted namespaces that are read with
// their objects.
type deletionReads struct {
	*store.Store

	n atomic.Int64
}

func (d *deletionReads) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for r, err := range d.Store.Scan(ctx, scan) {
			if err == nil && scan.Bodies && r.Ref.Resource == "namespaces" && r.Verb == history.Delete {
				d.n.Add(1)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}
