package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// versions is how many versions of deployment shop/web the recorder of these tests has.
const versions = 9

// recorder returns the handler of a recorder that has seen a little history, versions of shop/web, and one node, and that
// has missed a little, too.
func recorder(t *testing.T) http.Handler {
	t.Helper()
	log, err := store.Open(t.TempDir(), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, r := range []history.Resource{
		{Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node", Singular: "node", ShortNames: []string{"no"}},
	} {
		if err = log.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	blind := time.Now().Add(-24 * time.Hour) // before everything that was seen
	if err = log.Append(t.Context(), &history.Batch{Gaps: []history.Gap{
		{Resource: "nodes", Start: blind, End: blind.Add(time.Minute), Reason: history.GapExpired, Detail: "too old"},
		{Group: "apps", Resource: "deployments", Start: blind.Add(time.Hour), Reason: history.GapForbidden},
	}}); err != nil {
		t.Fatal(err)
	}
	if err = log.Append(t.Context(), &history.Batch{Records: records()}); err != nil {
		t.Fatal(err)
	}
	return api.New(query.New(log, query.Options{}), api.Options{})
}

func records() []*history.Record {
	web := history.ObjectRef{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web", UID: "u-web"}
	node := history.ObjectRef{Resource: "nodes", Name: "node-1", UID: "u-node"}
	all := []*history.Record{{
		Ref: node, Version: "v1", Kind: "Node", Verb: history.Create, RV: "1", Initial: true,
		Object: []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}`),
	}}
	for i := range versions {
		verb := history.Update
		if i == 0 {
			verb = history.Create
		}
		all = append(all, &history.Record{
			Ref: web, Version: "v1", Kind: "Deployment", Verb: verb, RV: fmt.Sprint(100 + i),
			Managers: []history.Manager{{Name: "kubectl-edit", Operation: "Update"}},
			Object: fmt.Appendf(nil,
				`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"},"spec":{"replicas":%d}}`, i),
		})
	}
	return all
}

func serving(t *testing.T) *client.Client {
	t.Helper()
	s := httptest.NewServer(recorder(t))
	t.Cleanup(s.Close)
	return dial(t, s.URL, client.Options{})
}

func TestRecorderAnswersEveryQuery(t *testing.T) {
	c := serving(t)
	if err := c.Health(t.Context()); err != nil {
		t.Error(err)
	}
	list, err := c.Resources(t.Context())
	if err != nil || len(list.Resources) != 2 {
		t.Errorf("Resources: got %+v, %v", list, err)
	}
	for name, tc := range map[string]struct {
		query client.EventsQuery
		want  int
	}{
		"all":              {client.EventsQuery{}, versions + 1},
		"two types":        {client.EventsQuery{Resources: []string{"deploy", "nodes"}}, versions + 1},
		"a short name":     {client.EventsQuery{Resources: []string{"deploy"}}, versions},
		"a group":          {client.EventsQuery{Group: "apps"}, versions},
		"cluster-scoped":   {client.EventsQuery{Namespace: history.NoNamespace}, 1},
		"a namespace":      {client.EventsQuery{Namespace: "shop"}, versions},
		"another one":      {client.EventsQuery{Namespace: "bank"}, 0},
		"a name":           {client.EventsQuery{Name: "node-1"}, 1},
		"a UID":            {client.EventsQuery{UID: "u-web"}, versions},
		"a verb":           {client.EventsQuery{Verb: history.Create}, 2},
		"a manager":        {client.EventsQuery{Manager: "kubectl-edit"}, versions},
		"without bodies":   {client.EventsQuery{Summary: true}, versions + 1},
		"no more than two": {client.EventsQuery{Limit: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := c.Events(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Events) != tc.want {
				t.Errorf("got %d events, want %d", len(page.Events), tc.want)
			}
			if body := len(page.Events) > 0 && page.Events[0].ObjectChanges != nil; body == tc.query.Summary {
				if len(page.Events) > 0 {
					t.Errorf("events with bodies: %t", body)
				}
			}
		})
	}
}

func TestRecorderPagesBothWays(t *testing.T) {
	c := serving(t)
	var forth, back []string
	for _, walk := range []struct {
		order history.Order
		into  *[]string
	}{{history.OldestFirst, &forth}, {history.NewestFirst, &back}} {
		for event, err := range c.All(t.Context(), client.EventsQuery{Order: walk.order, Limit: 3}) {
			if err != nil {
				t.Fatal(err)
			}
			*walk.into = append(*walk.into, event.ResourceVersion)
		}
	}
	want := []string{"1", "100", "101", "102", "103", "104", "105", "106", "107", "108"}
	if diff := cmp.Diff(want, forth); diff != "" {
		t.Error(diff)
	}
	slices.Reverse(want)
	if diff := cmp.Diff(want, back); diff != "" {
		t.Error(diff)
	}
}

func TestRecorderWindow(t *testing.T) {
	c := serving(t)
	all, err := c.Events(t.Context(), client.EventsQuery{Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	window, err := c.Events(t.Context(), client.EventsQuery{Start: all.Events[2].Timestamp, Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all.Events[2:], window.Events, cmp.Comparer(sameVersion)); diff != "" {
		t.Error(diff)
	}
}

func sameVersion(a, b v1.Event) bool { return a.UID == b.UID && a.ResourceVersion == b.ResourceVersion }

func TestRecorderObject(t *testing.T) {
	c := serving(t)
	page, err := c.Object(t.Context(), client.ObjectQuery{
		Namespace: "shop", Resource: "deploy", Name: "web", Order: history.NewestFirst, Limit: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if page.Total != versions || !page.TotalExact || !page.HasMore || len(page.WatchEvents) != 2 || page.WatchEvents[0].Revision != versions {
		t.Errorf("got %+v", page)
	}
	some, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "deploy", Name: "web", Revisions: []uint64{2, 5}})
	if err != nil || len(some.WatchEvents) != 2 || some.WatchEvents[1].Revision != 5 {
		t.Errorf("two revisions: got %+v, %v", some, err)
	}
	node, err := c.Object(t.Context(), client.ObjectQuery{Resource: "node", Name: "node-1"})
	if err != nil || len(node.WatchEvents) != 1 || !node.WatchEvents[0].Initial {
		t.Errorf("a node: got %+v, %v", node, err)
	}
	none, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "deploy", Name: "none"})
	if err != nil || len(none.WatchEvents)+len(none.RelatedEvents) != 0 {
		t.Errorf("no object: got %+v, %v", none, err)
	}
}

func TestRecorderRefusals(t *testing.T) {
	c := serving(t)
	_, err := c.Events(t.Context(), client.EventsQuery{Cursor: "no cursor"})
	wantCode(t, err, history.Invalid, "no cursor")
	_, err = c.Object(t.Context(), client.ObjectQuery{Resource: "nodes", Name: "node-1", Revisions: []uint64{0}})
	wantCode(t, err, history.Invalid, "revision")
}
