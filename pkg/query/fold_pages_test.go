package query_test

import (
	"fmt"
	"math/rand/v2"
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
				for _, writer := range []string{"", "kubectl", "!helm"} {
					q := query.Timeline{Order: order, Limit: 1 + limit*limit}
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
