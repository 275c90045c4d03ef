package query_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// TestFolded_CountsOutdatedPods changes a Secret that four Deployments use. Of
// two, all pods or some are as old as the earlier contents.
func TestFolded_CountsOutdatedPods(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Plural: "secrets", Kind: "Secret"})
	l.register(history.Resource{Plural: "pods", Kind: "Pod"})
	l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment"})
	put := func(o history.ObjectRef, owner types.UID, verb history.Verb, class history.Class, object string) {
		r := record(o, verb, object)
		if r.Class = class; owner != "" {
			r.Owners = []types.UID{owner}
		}
		l.put(r)
	}
	const env = `"env":[{"name":"P","valueFrom":{"secretKeyRef":{"name":"db","key":"p"}}}]`
	deploy := func(name, uses, volumes string) {
		put(ref("apps", "deployments", "shop", name, 1), "", history.Create, history.Root, fmt.Sprintf(
			`{"metadata":{"name":%q},"spec":{"template":{"spec":{"containers":[{"name":"app"%s}]%s}}}}`,
			name, uses, volumes))
		put(ref("apps", "replicasets", "shop", name+"-x", 1), ref("apps", "deployments", "shop", name, 1).UID,
			history.Create, history.Consequence, `{}`)
	}
	pod := func(of string, n int, verb history.Verb, phase string) {
		put(ref("", "pods", "shop", fmt.Sprint(of, "-", n), 1), ref("apps", "replicasets", "shop", of+"-x", 1).UID,
			verb, history.Consequence, fmt.Sprintf(`{"metadata":{"creationTimestamp":%q},"status":{"phase":%q}}`,
				l.now.Format(time.RFC3339), phase))
	}
	secret := ref("", "secrets", "shop", "db", 1)
	put(secret, "", history.Create, history.Root, `{"data":{"p":"1"}}`)
	deploy("env", ","+env, "")
	deploy("ended", ","+env, "")
	deploy("mounted", "", `,"volumes":[{"name":"db","secret":{"secretName":"db"}}]`)
	deploy("restarted", ","+env, `,"volumes":[{"name":"db","secret":{"secretName":"db"}}]`)
	for _, of := range []string{"env", "mounted", "restarted"} {
		pod(of, 1, history.Create, "Running")
		pod(of, 2, history.Create, "Running")
	}
	pod("ended", 1, history.Create, "Failed")
	l.now = l.now.Add(time.Hour)
	put(secret, "", history.Update, history.Root, `{"data":{"p":"2"}}`)
	pod("restarted", 3, history.Create, "Running")
	pod("restarted", 1, history.Delete, "Running")

	service := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	withoutPods := newRights("list secrets /", "list deployments.apps /")
	for _, test := range []struct {
		name string
		read *query.Service
		want map[string]int
	}{
		{"administrator", service, map[string]int{"env": 2, "ended": 0, "mounted": 0, "restarted": 1}},
		{
			"a caller who may not read pods", service.As(withoutPods),
			map[string]int{"env": 0, "ended": 0, "mounted": 0, "restarted": 0},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			page, err := test.read.Folded(t.Context(), query.Timeline{Types: []string{"secrets"}, Limit: 10})
			if err != nil || len(page.Rows) != 2 {
				t.Fatalf("got %d rows, error %v, want 2", len(page.Rows), err)
			}
			got := map[string]int{}
			for _, u := range page.Rows[1].UsedBy {
				got[u.Ref.Name] = u.OutdatedPods
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("outdated pods (-want +got):\n%s", diff)
			}
			first := page.Rows[0].UsedBy
			if slices.ContainsFunc(first, func(u query.User) bool { return u.OutdatedPods > 0 }) || len(first) != 4 {
				t.Errorf("creation: got users %v, want 4 without outdated pods", first)
			}
		})
	}
}
