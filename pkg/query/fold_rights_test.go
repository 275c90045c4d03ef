package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// TestFolded_HiddenObjectsCostNothing checks that many versions of owned
// objects that the caller may not read don't change what is counted: those of
// another resource, and those of an earlier namespace with the same name.
func TestFolded_HiddenObjectsCostNothing(t *testing.T) {
	for _, hidden := range []int{0, 1_200} {
		for _, resource := range []string{"replicasets", "pods"} {
			l := newEmptyLog(t)
			l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment"})
			l.register(history.Resource{Group: "apps", Plural: "replicasets", Kind: "ReplicaSet"})
			l.register(history.Resource{Plural: "pods", Kind: "Pod"})
			web := ref("apps", "deployments", "shop", "web", 1)
			since := l.now
			put := func(o history.ObjectRef, class history.Class, created time.Time) {
				r := record(o, history.Create, `{"metadata":{"creationTimestamp":"`+created.Format(time.RFC3339)+`"}}`)
				r.Class, r.Created = class, created
				if o != web {
					r.Owners = []types.UID{web.UID}
				}
				l.put(r)
			}
			put(web, history.Root, since)
			put(ref("", "pods", "shop", "first", 1), history.Consequence, since)
			for i := range hidden {
				o := ref("", resource, "shop", fmt.Sprint("hidden", i), 1)
				if resource == "replicasets" {
					o.Group = "apps"
				}
				put(o, history.Consequence, since.Add(-time.Hour))
			}
			put(ref("", "pods", "shop", "last", 1), history.Consequence, since)
			s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
			caller := newRights("list deployments.apps shop/", "list pods shop/")
			caller.namespaces["shop"] = since
			q := query.Timeline{Limit: 10, Filter: history.Filter{Namespace: "shop"}}
			for _, row := range folded(t, s.As(caller), q) {
				if row.Consequences != 2 || !row.Counted {
					t.Errorf("%d hidden %s: got %d consequences (exact: %t), want 2",
						hidden, resource, row.Consequences, row.Counted)
				}
			}
		}
	}
}

// TestFolded_PodsThatAreNotKnown checks that a Service is not said to select no
// pods if pods are not recorded, if a gap may hide them, and if the caller may
// not read them.
func TestFolded_PodsThatAreNotKnown(t *testing.T) {
	pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}
	list := newRights("list services shop/", "list pods shop/")
	for name, c := range map[string]struct {
		recorded bool
		gap      bool
		caller   *rights
		options  query.Options
		want     string
	}{
		"recorded":     {recorded: true, want: "matches 0 pods"},
		"readable":     {recorded: true, caller: list, want: "matches 0 pods"},
		"not readable": {recorded: true, caller: newRights("list services shop/")},
		"not recorded": {},
		"excluded": {recorded: true, options: query.Options{Unrecorded: func() []history.UnrecordedResource {
			return []history.UnrecordedResource{{Resource: pods, Reason: "excluded"}}
		}}},
		"gap": {recorded: true, gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newEmptyLog(t)
			l.register(history.Resource{Plural: "services", Kind: "Service"})
			if c.recorded {
				l.register(pods)
			}
			if c.gap {
				gap := history.Gap{Resource: "pods", Start: l.now, Reason: history.GapExpired}
				if err := l.Append(t.Context(), &history.Batch{Gaps: []history.Gap{gap}}); err != nil {
					t.Fatal(err)
				}
			}
			l.put(record(ref("", "services", "shop", "web", 1), history.Create, `{"spec":{"selector":{"app":"web"}}}`))
			c.options.Now = func() time.Time { return l.now.Add(time.Second) }
			c.options.EarlierNamespaces = true
			s := l.service(c.options)
			if c.caller != nil {
				s = s.As(c.caller)
			}
			q := query.Timeline{Limit: 10, Filter: history.Filter{Namespace: "shop"}}
			for _, row := range folded(t, s, q) {
				if got := row.Outcome; (got == nil) != (c.want == "") || got != nil && got.Text != c.want {
					t.Errorf("got the outcome %+v of a row, want %q", got, c.want)
				}
			}
			q.Endings = true
			if got := endingOf(t, s, q); strings.TrimPrefix(got, "failing ") != c.want {
				t.Errorf("got the outcome %q of a change, want %q", got, c.want)
			}
		})
	}
}
