package fold_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// script parses changes, one per line: seconds, verb, resource/name, manager
// ("-" for none, followed by a colon and a path if it is known what it
// changed), summary. Objects are in the namespace shop, except for
// namespaces.
func script(t *testing.T, text string) (changes []fold.Change) {
	t.Helper()
	start := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		var seconds int
		var verb, object, manager string
		if _, err := fmt.Sscan(line, &seconds, &verb, &object, &manager); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		v, err := history.ParseVerb(verb)
		if err != nil {
			t.Fatal(err)
		}
		resource, name, _ := strings.Cut(object, "/")
		r := &history.Record{
			Ref: history.ObjectRef{
				Group: "apps", Resource: resource, Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
			},
			Verb: v, Time: start.Add(time.Duration(seconds)*time.Second + time.Duration(len(changes))),
		}
		if manager != "-" {
			name, path, known := strings.Cut(manager, ":")
			r.Managers = []history.Manager{{Name: name, Operation: "Update"}}
			if known {
				r.Managers[0].Fields = []string{path}
			}
		}
		fields := strings.Fields(line)
		c := fold.Change{Record: r, Summary: strings.Join(fields[4:], " ")}
		if resource == "namespaces" {
			r.Ref.Group, r.Ref.Namespace = "", ""
			if v == history.Delete {
				c.Terminating = start.Add(10 * time.Second)
			}
		}
		changes = append(changes, c)
	}
	return changes
}

func TestRows(t *testing.T) {
	for _, tt := range []struct {
		name, changes string
		want          []string
	}{
		{
			"different changes", `
			0 update deployments/web kubectl-set image app 1.4 → 1.5
			5 update deployments/web helm label a x → y
			9 delete configmaps/flags - deleted`,
			[]string{"change: image app 1.4 → 1.5", "change: label a x → y", "change: deleted"},
		},
		{
			"repeated by an operator", `
			0 update things/db db-operator spec.seen 1 → 2
			60 update things/db db-operator spec.seen 2 → 3
			540 update things/db db-operator spec.seen 3 → 4`,
			[]string{"repeat ×3: spec.seen 1 → 4"},
		},
		{
			"two releases", `
			0 update deployments/web helm image app 1 → 2
			60 update deployments/web helm image app 2 → 3`,
			[]string{"change: image app 1 → 2", "change: image app 2 → 3"},
		},
		{
			"scaled by the autoscaler", `
			0 update deployments/web horizontal-pod-autoscaler replicas 2 → 4
			60 update deployments/web horizontal-pod-autoscaler replicas 4 → 3`,
			[]string{"repeat ×2: replicas 2 → 3"},
		},
		{
			"two taints", `
			0 update nodes/a kube-controller-manager:spec.taints taint unreachable:NoSchedule added
			5 update nodes/a kube-controller-manager:spec.taints taint unschedulable:NoSchedule added`,
			[]string{"change: taint unreachable:NoSchedule added", "change: taint unschedulable:NoSchedule added"},
		},
		{
			"scaled twice by a person", `
			0 update deployments/web kubectl replicas 3 → 2
			1 update deployments/web kubectl replicas 2 → 4`,
			[]string{"change: replicas 3 → 2", "change: replicas 2 → 4"},
		},
		{
			"repeated after a pause", `
			0 update things/db db-operator spec.seen 1 → 2
			4000 update things/db db-operator spec.seen 2 → 3`,
			[]string{"change: spec.seen 1 → 2", "change: spec.seen 2 → 3"},
		},
		{
			"repeated by a person within minutes", `
			0 update deployments/web kubectl-rollout restarted
			300 update deployments/web kubectl-rollout restarted`,
			[]string{"repeat ×2: restarted"},
		},
		{
			"repeated by a person later", `
			0 update deployments/web kubectl-scale replicas 2 → 0
			1200 update deployments/web kubectl-scale replicas 0 → 2`,
			[]string{"change: replicas 2 → 0", "change: replicas 0 → 2"},
		},
		{
			"restarted by a person again, after a pause", `
			0 update deployments/web kubectl-rollout restarted
			1200 update deployments/web kubectl-rollout restarted`,
			[]string{"change: restarted", "change: restarted"},
		},
		{
			"a fight", `
			0 update deployments/web kubectl replicas 2 → 4
			3 update deployments/web ledger-operator replicas 4 → 2
			20 update deployments/web kubectl replicas 2 → 4
			23 update deployments/web ledger-operator replicas 4 → 2`,
			[]string{"fight ×4: replicas 2 ⇄ 4"},
		},
		{
			"once there and back is not a fight", `
			0 update deployments/web kubectl replicas 2 → 4
			3 update deployments/web ledger-operator replicas 4 → 2`,
			[]string{"change: replicas 2 → 4", "change: replicas 4 → 2"},
		},
		{
			"a fight after repeats", `
			0 update deployments/web kubectl replicas 2 → 3
			1 update deployments/web kubectl replicas 3 → 4
			3 update deployments/web op replicas 4 → 2
			20 update deployments/web kubectl replicas 2 → 4
			23 update deployments/web op replicas 4 → 2`,
			[]string{"change: replicas 2 → 3", "fight ×4: replicas 2 ⇄ 4"},
		},
		{
			"a fight whose first change could also be a repeat", `
			0 update things/db op spec.size 1 → 2
			1 update things/db op spec.size 2 → 3
			3 update things/db other-op spec.size 3 → 1
			20 update things/db op spec.size 1 → 3
			23 update things/db other-op spec.size 3 → 1`,
			[]string{"change: spec.size 1 → 2", "fight ×4: spec.size 1 ⇄ 3"},
		},
		{
			"the same change in many objects", `
			0 update deployments/a flux image app 1 → 2
			1 update deployments/b flux image app 1 → 2
			2 update statefulsets/s flux image app 1 → 2
			3 update deployments/c flux image app 1 → 2`,
			[]string{"bulk ×3: image app 1 → 2 in 3 deployments", "change: image app 1 → 2"},
		},
		{
			"the same change in two objects", `
			0 update deployments/a flux image app 1 → 2
			1 update deployments/b flux image app 1 → 2`,
			[]string{"change: image app 1 → 2", "change: image app 1 → 2"},
		},
		{
			"a namespace", `
			5 delete configmaps/before - deleted
			11 delete deployments/web - deleted
			12 delete configmaps/flags - deleted
			13 update deployments/other helm label a x → y
			30 delete namespaces/shop - deleted`,
			[]string{"change: deleted", "removal ×3: deleted with 2 objects", "change: label a x → y"},
		},
		{
			"a namespace with one object", `
			12 delete configmaps/flags - deleted
			30 delete namespaces/shop - deleted`,
			[]string{"removal ×2: deleted with 1 object"},
		},
		{
			"an empty namespace", "30 delete namespaces/shop - deleted",
			[]string{"change: deleted"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, row := range fold.Rows(script(t, tt.changes)) {
				text := string(row.Kind)
				if len(row.Changes) > 1 {
					text += fmt.Sprint(" ×", len(row.Changes))
				}
				got = append(got, text+": "+row.Text())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRows_HaveEachChangeOnce folds random changes.
func TestRows_HaveEachChangeOnce(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var changes []fold.Change
		at := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
		for range random.IntN(60) {
			pause := []time.Duration{time.Second, time.Hour}[random.IntN(2)]
			at = at.Add(1 + time.Duration(random.Int64N(int64(pause))))
			r := &history.Record{
				Ref: history.ObjectRef{
					Resource: []string{"configmaps", "namespaces"}[random.IntN(5)/4], Name: fmt.Sprint(random.IntN(4)),
				},
				Verb:     []history.Verb{history.Update, history.Create, history.Delete}[random.IntN(9)%5%3],
				Time:     at,
				Managers: []history.Manager{{Name: []string{"helm", "kubectl", ""}[random.IntN(3)]}}[random.IntN(2):],
			}
			c := fold.Change{Record: r, Summary: []string{"", "a 1 → 2", "a 2 → 1", "b, c", " → "}[random.IntN(5)]}
			if r.Ref.Resource == "configmaps" {
				r.Ref.Namespace = fmt.Sprint(random.IntN(4))
			} else if r.Verb == history.Delete {
				c.Terminating = at.Add(-time.Minute)
			}
			changes = append(changes, c)
		}
		seen := map[*history.Record]int{}
		rows := fold.Rows(changes)
		for i := range rows {
			if rows[i].Text() == "" && rows[i].Kind != fold.Single && rows[i].Last().Summary != "" {
				t.Errorf("seed %d: got no text for %+v", seed, rows[i])
			}
			sorted := slices.IsSortedFunc(rows[i].Changes, func(a, b fold.Change) int { return a.Time.Compare(b.Time) })
			if !sorted || i > 0 && rows[i].First().Time.Before(rows[i-1].First().Time) {
				t.Errorf("seed %d: got row %d out of order", seed, i)
			}
			for _, c := range rows[i].Changes {
				seen[c.Record]++
			}
		}
		for _, c := range changes {
			if seen[c.Record] != 1 {
				t.Errorf("seed %d: got change at %s in %d rows, want 1", seed, c.Time, seen[c.Record])
			}
		}
	}
}
