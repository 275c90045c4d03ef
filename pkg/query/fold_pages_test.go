package query_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// newRowsWorld writes random changes that make rows of all kinds: the same
// change of many objects, fights, repeats, and deleted namespaces.
func newRowsWorld(t *testing.T, random *rand.Rand, changes int) (l *log, records []*history.Record) {
	t.Helper()
	l = newEmptyLog(t)
	l.register(history.Resource{Plural: "namespaces", Kind: "Namespace"})
	incarnation := map[string]int{}
	var last *history.Record
	for n := range changes {
		namespace := fmt.Sprint("n", random.IntN(2))
		name := fmt.Sprint("c", random.IntN(4))
		key := namespace + "/" + name
		o := ref("", "configmaps", namespace, name, incarnation[key])
		o.UID = types.UID(fmt.Sprint(key, incarnation[key]))
		r := record(o, history.Update, `{}`)
		switch random.IntN(20) {
		case 0:
			requested := l.now.Add(-time.Minute)
			r = record(ref("", "namespaces", "", namespace, incarnation[namespace]), history.Delete,
				`{"metadata":{"deletionTimestamp":"`+requested.Format(time.RFC3339)+`"}}`)
			incarnation[namespace]++
		case 1, 2, 3:
			r.Verb = history.Delete
			incarnation[key]++
		}
		r.Managers = []history.Manager{{Name: []string{"helm", "kubectl-edit", "hpa"}[random.IntN(3)]}}
		r.Summary = &history.Summary{Text: []string{"a 1 → 2", "a 2 → 1", "b"}[random.IntN(3)]}
		if n%20 > 10 && last.Verb == history.Update { // a fight
			r.Ref, r.Verb, r.Summary.Text = last.Ref, last.Verb, "a 1 → 2"
			r.Managers[0].Name = []string{"helm", "kubectl-edit"}[n%2]
		}
		if random.IntN(10) == 0 {
			l.now = l.now.Add(time.Duration(random.IntN(3000)) * time.Second)
		}
		l.put(r)
		last, records = r, append(records, r)
	}
	return l, records
}

// TestFolded_PagesHaveEachChangeOnce reads pages of few rows, which cut rows of
// many changes, with and without selectors of rows. A change that a selector
// selects is in one row, because that row is selected.
func TestFolded_PagesHaveEachChangeOnce(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 2
	}
	kinds := map[fold.Kind]int{}
	for seed := range seeds {
		l, records := newRowsWorld(t, rand.New(rand.NewPCG(seed, 3)), 120)
		s := l.service(query.Options{})
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			for limit := range 3 {
				for _, writer := range []string{"", "kubectl", "!helm", "in n0"} {
					q := query.Timeline{Order: order, Limit: 1 + limit*limit}
					namespace := ""
					if in, one := strings.CutPrefix(writer, "in "); one {
						writer, namespace = "", in
						q.Namespace = history.ScopeOf(in)
					}
					if writer != "" {
						q.Selector = words(t, "", writer)
					}
					seen := map[time.Time]int{}
					for _, row := range folded(t, s, q) {
						kinds[row.Kind]++
						for _, c := range row.Changes {
							seen[c.Time]++
						}
					}
					for _, r := range records {
						by := r.Managers[0].Name
						selected := writer == "" || writer == "kubectl" && by == "kubectl-edit" ||
							writer == "!helm" && by != "helm"
						if namespace != "" {
							selected = r.Ref.Namespace == namespace || r.Ref.Name == namespace
						}
						if n := seen[r.Time]; n > 1 || selected && n == 0 {
							t.Errorf("seed %d, order %d, limit %d, writer %q: got %s %s at %s in %d rows, want 1",
								seed, order, q.Limit, writer, r.Verb, r.Ref, r.Time, n)
						}
					}
				}
			}
		}
	}
	for _, kind := range []fold.Kind{fold.Single, fold.Removal, fold.Fight, fold.Repeat, fold.Bulk} {
		if kinds[kind] == 0 {
			t.Errorf("got %v, want rows of the kind %s", kinds, kind)
		}
	}
}

// TestFolded_NamespaceDeleted checks that a page of one namespace has its
// deletion as one row, and that a page of some of its objects does not.
func TestFolded_NamespaceDeleted(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Plural: "configmaps", Kind: "ConfigMap", Namespaced: true})
	l.register(history.Resource{Plural: "namespaces", Kind: "Namespace"})
	put := func(o history.ObjectRef, verb history.Verb, object string) {
		r := record(o, verb, object)
		r.Class = history.Root
		l.put(r)
	}
	for n := range 3 {
		put(ref("", "configmaps", "billing", fmt.Sprint("c", n), 1), history.Create, `{}`)
	}
	put(ref("", "configmaps", "shop", "other", 1), history.Delete, `{}`)
	requested := `{"metadata":{"deletionTimestamp":"` + l.now.Format(time.RFC3339) + `"}}`
	for n := range 3 {
		put(ref("", "configmaps", "billing", fmt.Sprint("c", n), 1), history.Delete, `{}`)
	}
	put(ref("", "namespaces", "", "billing", 1), history.Delete, requested)
	s := l.service(query.Options{})
	page := func(q query.Timeline) []query.FoldedRow {
		t.Helper()
		got, err := s.Folded(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if changes := len(got.Rows[0].Changes); !got.More && len(got.Rows) == 1 && got.Total != changes {
			t.Errorf("got a total of %d, want %d changes", got.Total, changes)
		}
		return got.Rows
	}
	in := query.Timeline{Filter: history.Filter{Namespace: "billing"}, Limit: 10}
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		in.Order = order
		rows := page(in)
		last := 1
		if order == history.NewestFirst {
			last = 0
		}
		if len(rows) != 2 || rows[last].Kind != fold.Removal || len(rows[last].Changes) != 4 {
			t.Errorf("order %d: got %d rows, want the creations and a removal of 4 objects: %+v",
				order, len(rows), rows)
		}
	}
	in.Start = l.now // after everything but the deletion of the namespace
	if rows := page(in); len(rows) != 1 || rows[0].Of.Ref.Resource != "namespaces" {
		t.Errorf("got %+v, want the deletion of the namespace", rows)
	}
	in.Start = time.Time{}
	in.Types = []string{"configmaps"}
	for _, row := range page(in) {
		if row.Kind == fold.Removal {
			t.Errorf("got the deletion of the namespace on a page of ConfigMaps")
		}
	}
}

// TestFolded_ProblemOnAnotherPage checks that a problem belongs to the row of
// its change only, if that is on another page, and that this row has it as its
// outcome.
func TestFolded_ProblemOnAnotherPage(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Plural: "pods", Kind: "Pod", Namespaced: true})
	web, pod := ref("apps", "deployments", "shop", "web", 1), ref("", "pods", "shop", "web-1", 1)
	change := record(web, history.Create, `{"spec":{"replicas":1},"status":{}}`)
	change.Class = history.Root
	other := record(ref("", "configmaps", "shop", "config", 1), history.Create, `{}`)
	other.Class = history.Root
	crash := record(pod, history.Create, `{"metadata":{"name":"web-1"},"status":{"phase":"Running",`+
		`"containerStatuses":[{"name":"app","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`)
	crash.Owners, crash.Class = []types.UID{web.UID}, history.Onset
	l.put(change, other, crash)
	s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		rows := folded(t, s, query.Timeline{Limit: 1, Order: order})
		if len(rows) != 2 {
			t.Fatalf("order %d: got %d rows, want one for each change", order, len(rows))
		}
		row := rows[0]
		if order == history.NewestFirst {
			row = rows[1]
		}
		if row.Of.Ref != web || row.Consequences != 1 || row.Outcome == nil ||
			row.Outcome.Text != "pod/web-1 CrashLoopBackOff" {
			t.Errorf("order %d: got %s with %d consequences and the outcome %+v, want that of the pod",
				order, describe(&row), row.Consequences, row.Outcome)
		}
	}
}
