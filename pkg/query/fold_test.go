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
// Pods, ConfigMaps and nodes that they use, and Events about all of them.
type foldedWorld struct {
	log     *log
	records []*history.Record
	owners  map[types.UID]types.UID   // the owner of each object
	uses    map[types.UID][]types.UID // the ConfigMaps and nodes that each object uses
}

func newFoldedWorld(t *testing.T, random *rand.Rand, versions int) *foldedWorld {
	t.Helper()
	w := &foldedWorld{log: newEmptyLog(t), owners: map[types.UID]types.UID{}, uses: map[types.UID][]types.UID{}}
	var deployments, sets, pods, settings, nodes []history.ObjectRef
	for n := range 2 {
		settings = append(settings, ref("", "configmaps", "shop", fmt.Sprint("settings", n), 1))
		nodes = append(nodes, ref("", "nodes", "", fmt.Sprint("node", n), 1))
	}
	specs := map[types.UID]string{}
	use := func(o history.ObjectRef, n int) {
		config := settings[n%2]
		specs[o.UID] = fmt.Sprintf(`"containers":[{"envFrom":[{"configMapRef":{"name":%q}}]}]`, config.Name)
		w.uses[o.UID] = append(w.uses[o.UID], config.UID)
		if o.Resource == "pods" && n%3 > 0 { // otherwise it is not scheduled
			node := nodes[n/3%2]
			specs[o.UID] += fmt.Sprintf(`,"nodeName":%q`, node.Name)
			w.uses[o.UID] = append(w.uses[o.UID], node.UID)
		}
	}
	child := func(resource, group string, n int, of []history.ObjectRef) history.ObjectRef {
		owner := of[random.IntN(len(of))]
		o := ref(group, resource, "shop", fmt.Sprint(resource, n), 1)
		w.owners[o.UID] = owner.UID
		return o
	}
	for n := range 3 {
		deployments = append(deployments, ref("apps", "deployments", "shop", fmt.Sprint("web", n), 1))
		use(deployments[n], n)
	}
	for n := range 5 {
		sets = append(sets, child("replicasets", "apps", n, deployments))
	}
	for n := range 9 {
		pods = append(pods, child("pods", "", n, sets))
		use(pods[n], n)
	}
	all := slices.Concat(deployments, sets, pods, settings, nodes)
	quiet := random.IntN(2) == 0 // many problems are not about a change of an owner
	known := map[types.UID]bool{}
	for n := range versions {
		o := all[random.IntN(len(all))]
		if n < len(all) {
			o = all[n] // an owner is recorded before what it owns
		}
		object := fmt.Sprintf(`{"n":%d,"spec":{%s}}`, n, specs[o.UID])
		if o.Resource == "deployments" {
			object = fmt.Sprintf(`{"n":%d,"spec":{"template":{"spec":{%s}}}}`, n, specs[o.UID])
		}
		r := record(o, history.Update, object)
		if random.IntN(3) == 0 {
			w.log.now = w.log.now.Add(time.Duration(random.IntN(120)) * time.Second)
		}
		if owner := w.owners[o.UID]; owner != "" {
			r.Owners = []types.UID{owner}
			if o.Resource == "replicasets" { // only the first owner is in the chain
				r.Owners = append(r.Owners, deployments[0].UID, deployments[1].UID)
			}
			r.Class = history.Consequence
		}
		switch {
		case !known[o.UID]:
			r.Verb = history.Create
			known[o.UID] = true
			if quiet {
				r.Initial, r.Class = true, history.Consequence
			}
		case random.IntN(8) == 0:
			r.Class = history.Onset
		case random.IntN(3) == 0, quiet && o.Resource == "deployments" && random.IntN(4) > 0:
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

// chain returns the UIDs of a version's object, or of the object that an Event
// regards, and of its owners.
func (w *foldedWorld) chain(r *history.Record) (chain []types.UID) {
	uid := r.Ref.UID
	if r.Regarding != nil {
		uid = r.Regarding.UID
	}
	for ; uid != ""; uid = w.owners[uid] {
		chain = append(chain, uid)
	}
	return chain
}

// cause returns the newest root change before a version in its chain of owners,
// or nil.
func (w *foldedWorld) cause(n int) *history.Record {
	chain := w.chain(w.records[n])
	for i := n - 1; i >= 0; i-- {
		if before := w.records[i]; before.Class == history.Root && slices.Contains(chain, before.Ref.UID) {
			return before
		}
	}
	return nil
}

// beyond returns the changes on a page that its onsets without a recent change
// of their chain belong to, by the times of the onsets. It returns nil for the
// others.
func (w *foldedWorld) beyond(on map[time.Time]bool) map[time.Time]*history.Record {
	causes, before := map[time.Time]*history.Record{}, map[types.UID]*history.Record{}
	follows := func(r, change *history.Record) bool {
		within := 3 * time.Minute
		if change.Ref.Resource == "nodes" {
			within = 6 * time.Minute
		}
		return change.Time.Before(r.Time) && r.Time.Sub(change.Time) <= within
	}
	for n, r := range w.records {
		cause := w.cause(n)
		var after time.Time
		if cause != nil && on[cause.Time] {
			after = cause.Time
		}
		if r.Class != history.Onset || !on[r.Time] || r.Time.Sub(after) <= time.Minute {
			continue
		}
		chain := w.chain(r)
		top := chain[len(chain)-1]
		var newest *history.Record
		if b := before[top]; b != nil && follows(r, b) && b.Time.After(after) {
			newest = b
		}
		for _, change := range w.records[:n] {
			if change.Class == history.Root && on[change.Time] && slices.Contains(w.uses[chain[0]], change.Ref.UID) &&
				follows(r, change) && change.Time.After(after) && (newest == nil || newest.Time.Before(change.Time)) {
				newest = change
			}
		}
		if newest != nil {
			causes[r.Time], before[top] = newest, newest
		}
	}
	return causes
}

// TestFolded_CountsEachVersionOnce compares folded pages of random versions
// with the definition: each root change is in one row of one page, and each
// consequence belongs to the newest root change of its chain of owners. An
// onset without a recent one on its page belongs to a change beyond the owners.
func TestFolded_CountsEachVersionOnce(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	found := 0
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 7))
		w := newFoldedWorld(t, random, 150)
		s := w.log.service(query.Options{})
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			for _, limit := range []int{3, 1000} {
				t.Run(fmt.Sprint("seed ", seed, ", order ", order, ", limit ", limit), func(t *testing.T) {
					found += w.check(t, s, order, limit)
				})
			}
		}
	}
	if want := 5 * int(seeds); found < want {
		t.Errorf("got %d problems that belong to a change beyond their owners, want %d or more", found, want)
	}
}

// check returns how many problems belong to a change beyond their owners.
func (w *foldedWorld) check(t *testing.T, s *query.Service, order history.Order, limit int) (found int) {
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
		on := map[time.Time]bool{}
		for _, row := range page.Rows {
			for _, c := range row.Changes {
				on[c.Time] = true
			}
			for _, v := range row.Onsets {
				on[v.Time] = true
			}
		}
		beyond := w.beyond(on)
		found += len(beyond)
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
			w.checkRow(t, row, in, beyond)
		}
		if !page.More {
			break
		}
		q.After, previous = page.Next, time.Time{}
	}
	for n, r := range w.records {
		if got, want := roots[r.Time], r.Class == history.Root; got != 1 && want || got > 0 && !want {
			t.Errorf("%s %s at %s: got it in %d rows, want it once if it is a root change: %t",
				r.Class, r.Ref, r.Time, got, want)
		}
		// That of a change on another page is counted there.
		want := r.Class == history.Onset
		least := 1
		if limit < len(w.records) && w.cause(n) != nil {
			least = 0
		}
		if got := onsets[r.Time]; (got > 1 || got < least) && want || got > 0 && !want {
			t.Errorf("%s %s at %s: got it as the onset of %d rows, want %d to 1 if it is an onset: %t",
				r.Class, r.Ref, r.Time, got, least, want)
		}
	}
	return found
}

func (w *foldedWorld) checkRow(
	t *testing.T, row query.FoldedRow, in map[time.Time]bool, beyond map[time.Time]*history.Record,
) {
	t.Helper()
	for _, v := range row.Onsets {
		if cause := beyond[v.Time]; cause != nil && !in[cause.Time] {
			t.Errorf("%s at %s: got it in the row of %s at %s, want that of %s at %s",
				v.Ref, v.Time, row.Of.Ref, row.Start(), cause.Ref, cause.Time)
		}
	}
	if len(row.Changes) == 0 {
		if row.Consequences != len(row.Onsets) {
			t.Errorf("%s at %s: got %d consequences, want %d",
				row.Of.Ref, row.Start(), row.Consequences, len(row.Onsets))
		}
		for n, r := range w.records {
			onset := slices.ContainsFunc(row.Onsets, func(v *query.Version) bool { return v.Time.Equal(r.Time) })
			if cause := w.cause(n); onset && cause != nil {
				t.Errorf("%s at %s: got a row without changes, want it to belong to %s at %s only",
					r.Ref, r.Time, cause.Ref, cause.Time)
			}
		}
		return
	}
	want := 0
	for _, cause := range beyond {
		if in[cause.Time] {
			want++
		}
	}
	for n, r := range w.records {
		if r.Class == history.Root {
			continue
		}
		// What follows from a change inside of the row belongs to it too.
		if cause := w.cause(n); cause != nil && in[cause.Time] && beyond[r.Time] == nil {
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
	l.register(history.Resource{Plural: "pods", Kind: "Pod"})
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
	got := rowTexts(page)
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

// rowTexts returns the rows of a page in a few words.
func rowTexts(page query.FoldedPage) (texts []string) {
	for _, row := range page.Rows {
		text := row.Of.Ref.Resource
		if len(row.Changes) > 0 {
			text += fmt.Sprint("#", row.Last().Revision)
		}
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
		texts = append(texts, text)
	}
	return texts
}

// TestFolded_BeyondOwnership checks the rows of a node that is lost and of a
// ConfigMap that is edited, without a change of the workloads.
func TestFolded_BeyondOwnership(t *testing.T) {
	l := newEmptyLog(t)
	old := func(o history.ObjectRef, owner types.UID, object string) {
		r := record(o, history.Create, object)
		r.Initial, r.Class = true, history.Consequence
		if owner != "" {
			r.Owners = []types.UID{owner}
		}
		l.put(r)
	}
	node, config := ref("", "nodes", "", "node-1", 1), ref("", "configmaps", "shop", "config", 1)
	old(node, "", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`)
	old(config, "", `{"data":{"a":"1"}}`)
	var pods []history.ObjectRef
	pod := func(n int, status string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"nodeName":"node-%d","containers":[{"name":"app",`+
			`"envFrom":[{"configMapRef":{"name":"config"}}]}]},"status":%s}`, pods[n].Name, n/3+1, status)
	}
	const running = `{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],` +
		`"containerStatuses":[{"name":"app","ready":true,"state":{"running":{}}}]}`
	const deployed = `{"metadata":{"generation":1},"spec":{"replicas":2},"status":{"observedGeneration":1,` +
		`"replicas":2,"updatedReplicas":2,"readyReplicas":%[1]d,"availableReplicas":%[1]d}}`
	replicas := func(ready int) {
		r := record(ref("apps", "deployments", "shop", "web-0", 1), history.Update, fmt.Sprintf(deployed, ready))
		r.Class = history.Consequence
		l.put(r)
	}
	for n := range 7 {
		web := ref("apps", "deployments", "shop", fmt.Sprint("web-", n/2), 1)
		set := ref("apps", "replicasets", "shop", fmt.Sprint("web-", n/2, "-x"), 1)
		if n == 0 { // created on the page, and ready until the node was lost
			r := record(web, history.Create, fmt.Sprintf(deployed, 0))
			r.Class = history.Root
			l.put(r)
			replicas(2)
			old(set, web.UID, `{}`)
		} else if n%2 == 0 {
			old(web, "", `{"spec":{"replicas":2}}`)
			old(set, web.UID, `{}`)
		}
		pods = append(pods, ref("", "pods", "shop", fmt.Sprint("pod-", n), 1))
		old(pods[n], set.UID, pod(n, running))
	}
	fail := func(n int, status string) {
		r := record(pods[n], history.Update, pod(n, status))
		set := ref("apps", "replicasets", "shop", fmt.Sprint("web-", n/2, "-x"), 1)
		r.Owners, r.Class = []types.UID{set.UID}, history.Onset
		l.put(r)
	}
	change := func(o history.ObjectRef, object string) {
		r := record(o, history.Update, object)
		r.Class = history.Root
		l.put(r)
	}
	l.now = l.now.Add(time.Hour)
	change(node, `{"status":{"conditions":[{"type":"Ready","status":"Unknown","reason":"NodeStatusUnknown",`+
		`"message":"Kubelet stopped posting node status."}]}}`)
	const lost = `{"phase":"Running","conditions":[{"type":"Ready","status":"False"}],` +
		`"containerStatuses":[{"name":"app","ready":false,"state":{"terminated":{"exitCode":137,"reason":"Error"}}}]}`
	for n := range 3 {
		fail(n, lost) // the others are on another node
	}
	replicas(0)
	l.now = l.now.Add(time.Hour)
	change(config, `{"data":{"a":"2"}}`)
	const crashed = `{"phase":"Running","containerStatuses":[{"name":"app","restartCount":3,` +
		`"state":{"waiting":{"reason":"CrashLoopBackOff"}},` +
		`"lastState":{"terminated":{"exitCode":1,"reason":"Error","message":"no a"}}}]}`
	l.now = l.now.Add(30 * time.Second)
	fail(3, crashed)
	l.now = l.now.Add(4 * time.Minute)
	labelled := record(config, history.Update, `{"metadata":{"labels":{"team":"a"}},"data":{"a":"2"}}`)
	labelled.Managers = []history.Manager{{Name: "kubectl-label", Fields: []string{"metadata.labels.team"}}}
	labelled.Class = history.Root
	l.put(labelled)
	fail(4, crashed) // too late
	lostNode := record(ref("", "nodes", "", "node-3", 1), history.Delete, `{}`)
	lostNode.Class = history.Root
	l.put(lostNode)
	fail(6, lost)

	page, err := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }}).
		Folded(t.Context(), query.Timeline{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"deployments#1: ready 2/2 ready",
		"nodes#2: failing 3 pods of 2 workloads app exit 137 (SIGKILL)",
		`configmaps#2: failing pod/pod-3 CrashLoopBackOff, exit 1 "no a"`,
		"configmaps#3",
		`deployments: failing pod/pod-4 CrashLoopBackOff, exit 1 "no a"`,
		"nodes#1: failing pod/pod-6 app exit 137 (SIGKILL)",
	}
	if got := rowTexts(page); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for i, want := range []int{5, 3, 1, 0, 1, 1} {
		if got := page.Rows[i].Consequences; got != want {
			t.Errorf("row %d: got %d consequences, want %d", i, got, want)
		}
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

// TestFolded_EventWithTheNameOfAnother checks an Event whose target has the UID
// of an object and another name: everyone who may create Events can write one.
func TestFolded_EventWithTheNameOfAnother(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment"})
	l.register(history.Resource{Plural: "pods", Kind: "Pod"})
	l.register(history.Resource{Plural: "events", Kind: "Event"})
	web, pod := ref("apps", "deployments", "shop", "web", 1), ref("", "pods", "shop", "web-1", 1)
	put := func(r *history.Record, verb history.Verb, class history.Class) {
		r.Verb, r.Class = verb, class
		l.put(r)
	}
	put(record(web, history.Create, `{}`), history.Create, history.Root)
	put(event("wrong", ref("apps", "deployments", "shop", "other", 1), web.UID), history.Create, history.Onset)
	put(owned(pod, web), history.Create, history.Root)
	put(owned(pod, web), history.Update, history.Consequence)
	put(record(web, history.Update, `{"spec":{}}`), history.Update, history.Root)
	put(owned(pod, web), history.Update, history.Consequence)
	for _, row := range folded(t, l.service(query.Options{}), query.Timeline{Limit: 10}) {
		if len(row.Changes) > 0 && row.Of.Ref == pod && row.Consequences != 1 {
			t.Errorf("%s: got %d consequences, want the one before the next change of the owner",
				describe(&row), row.Consequences)
		}
	}
}
