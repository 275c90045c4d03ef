package query_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
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

// counted counts the questions to an [query.Authorizer].
type counted struct {
	query.Authorizer

	asked atomic.Int64
}

// List implements [query.Authorizer].
func (c *counted) List(ctx context.Context, of schema.GroupResource, in history.NamespaceScope) (bool, error) {
	c.asked.Add(1)
	return c.Authorizer.List(ctx, of, in)
}

// Get implements [query.Authorizer].
func (c *counted) Get(ctx context.Context, of schema.GroupResource, namespace, name string) (bool, error) {
	c.asked.Add(1)
	return c.Authorizer.Get(ctx, of, namespace, name)
}

// TestFolded_RightsAreReadOnce checks that the number of questions about rights
// does not depend on the number of problems on a page whose changes are on
// another one.
func TestFolded_RightsAreReadOnce(t *testing.T) {
	asked := map[int]int64{}
	for _, problems := range []int{2, 60} {
		l := newEmptyLog(t)
		l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment", Namespaced: true})
		l.register(history.Resource{Plural: "pods", Kind: "Pod", Namespaced: true})
		caller := newRights()
		since := l.now
		crash := strings.Replace(failingPod, `"metadata":{`, `"metadata":{"creationTimestamp":"`+
			since.Format(time.RFC3339)+`",`, 1)
		var all []*history.Record
		for i := range problems {
			namespace := fmt.Sprint("n", i%3)
			caller.namespaces[namespace] = since
			caller.allowed["list deployments.apps "+namespace+"/"] = true
			caller.allowed["list pods "+namespace+"/"] = true
			change := record(ref("apps", "deployments", namespace, fmt.Sprint("web", i), 1), history.Create,
				created(since))
			change.Class, change.Created = history.Root, since
			all = append(all, change)
		}
		for _, change := range slices.Clone(all) {
			pod := record(ref("", "pods", change.Ref.Namespace, "of-"+change.Ref.Name, 1), history.Create, crash)
			pod.Owners, pod.Class, pod.Created = []types.UID{change.Ref.UID}, history.Onset, since
			all = append(all, pod)
		}
		for _, r := range all {
			l.now = l.now.Add(2 * time.Minute) // so that the same changes are several rows
			l.put(r)
		}
		who := &counted{Authorizer: caller}
		s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }}).As(who)
		page, err := s.Folded(t.Context(), query.Timeline{Limit: problems / 2, Order: history.NewestFirst})
		if err != nil || len(page.Rows) != problems/2 || !page.More {
			t.Fatalf("%d problems: got %d rows, more %t, error %v, want %d and more",
				problems, len(page.Rows), page.More, err, problems/2)
		}
		asked[problems] = who.asked.Load()
	}
	if asked[60] > asked[2]+20 {
		t.Errorf("got %v questions about rights by the number of problems, want about the same", asked)
	}
}
