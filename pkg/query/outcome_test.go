package query_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// workloads writes versions of Deployments with one replica and of their pods.
type workloads struct{ *log }

func (l workloads) put(o history.ObjectRef, verb history.Verb, class history.Class, seen, ready int) {
	r := record(o, verb, fmt.Sprintf(`{"metadata":{"name":%q,"generation":%d},"spec":{"replicas":1,`+
		`"template":{"spec":{"containers":[{"name":"app","image":%q}]}}},"status":{"observedGeneration":%d,`+
		`"replicas":1,"updatedReplicas":1,"readyReplicas":%d,"availableReplicas":%d}}`,
		o.Name, 2, "app:1", seen, ready, ready))
	r.Class, r.Managers = class, []history.Manager{{Name: "flux", Operation: "Update"}}
	r.Summary = &history.Summary{Text: "image app:1"}
	l.log.put(r)
}

func (l workloads) crash(of history.ObjectRef) {
	r := record(ref("", "pods", "shop", of.Name+"-a", 1), history.Create, `{"metadata":{},"status":{"phase":"Running",`+
		`"containerStatuses":[{"name":"app","restartCount":3,"state":{"waiting":{"reason":"CrashLoopBackOff"}},`+
		`"lastState":{"terminated":{"exitCode":1,"reason":"Error"}}}]}}`)
	r.Owners, r.Class = []types.UID{of.UID}, history.Onset
	l.log.put(r)
}

func (l workloads) rows(t *testing.T, q query.Timeline) []string {
	t.Helper()
	q.Limit = 100
	page, err := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }}).
		Folded(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return rowTexts(page)
}

// TestFolded_OutcomeOfBulk checks that a row of several objects is ready only
// if all of them are.
func TestFolded_OutcomeOfBulk(t *testing.T) {
	for _, test := range []struct{ failing, want string }{
		{"", "deployments#1: ready 3 of 3 ready"},
		{"a", "deployments#1: failing pod/a-a CrashLoopBackOff, exit 1"},
		{"c", "deployments#1: failing pod/c-a CrashLoopBackOff, exit 1"},
	} {
		l := workloads{newEmptyLog(t)}
		names := []string{"a", "b", "c"}
		for _, name := range names {
			l.put(ref("apps", "deployments", "shop", name, 1), history.Create, history.Root, 1, 0)
		}
		for _, name := range names {
			o := ref("apps", "deployments", "shop", name, 1)
			if name == test.failing {
				l.crash(o)
				l.put(o, history.Update, history.Consequence, 2, 0)
				continue
			}
			l.put(o, history.Update, history.Consequence, 2, 1)
		}
		if got, want := l.rows(t, query.Timeline{}), []string{test.want}; !slices.Equal(got, want) {
			t.Errorf("%q fails: got %q, want %q", test.failing, got, want)
		}
	}
}

// TestFolded_OutcomeIgnoresFilter checks that a page of one Deployment shows
// what its pods lack, as a page of everything does.
func TestFolded_OutcomeIgnoresFilter(t *testing.T) {
	l := workloads{newEmptyLog(t)}
	web := ref("apps", "deployments", "shop", "web", 1)
	l.put(web, history.Create, history.Root, 1, 0)
	l.put(web, history.Update, history.Consequence, 2, 0)
	l.crash(web)
	want := []string{"deployments#1: failing pod/web-a CrashLoopBackOff, exit 1"}
	for _, q := range []query.Timeline{
		{},
		{Filter: history.Filter{Name: "web", Namespace: history.ScopeOf("shop")}},
		{Filter: history.Filter{UID: web.UID}},
	} {
		if got := l.rows(t, q); !slices.Equal(got, want) {
			t.Errorf("name %q, UID %q: got %q, want %q", q.Name, q.UID, got, want)
		}
	}
}

// TestFolded_OutcomeBeforeNamespaceDeletion checks that what a namespace's
// deletion does is not an outcome, although the page lacks the deletion.
func TestFolded_OutcomeBeforeNamespaceDeletion(t *testing.T) {
	l := workloads{newEmptyLog(t)}
	web, service := ref("apps", "deployments", "shop", "web", 1), ref("", "services", "shop", "web", 1)
	pod := ref("", "pods", "shop", "web-a", 1)
	l.put(web, history.Create, history.Root, 1, 0)
	p := record(pod, history.Create, `{"metadata":{"labels":{"app":"web"}}}`)
	p.Owners, p.Class = []types.UID{web.UID}, history.Consequence
	l.log.put(p)
	l.put(web, history.Update, history.Consequence, 2, 1)
	s := record(service, history.Create, `{"metadata":{"name":"web"},"spec":{"selector":{"app":"web"}}}`)
	s.Class = history.Root
	l.log.put(s)
	l.now = l.now.Add(time.Minute)
	requested := l.now.UTC().Format(time.RFC3339)
	l.now = l.now.Add(2 * time.Second)
	gone := record(pod, history.Delete, `{"metadata":{"labels":{"app":"web"}}}`)
	gone.Owners, gone.Class = []types.UID{web.UID}, history.Consequence
	l.log.put(gone)
	l.put(web, history.Update, history.Consequence, 2, 0)
	namespace := record(ref("", "namespaces", "", "shop", 1), history.Delete,
		fmt.Sprintf(`{"metadata":{"name":"shop","deletionTimestamp":%q}}`, requested))
	namespace.Class = history.Root
	l.log.put(namespace)
	got := l.rows(t, query.Timeline{Filter: history.Filter{Namespace: history.ScopeOf("shop")}})
	want := []string{"deployments#1: ready 1/1 ready", "services#1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
