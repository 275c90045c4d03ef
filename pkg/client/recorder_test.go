package client_test

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// versions is the number of versions of the deployment shop/web.
const versions = 9

// newRecorder returns the API of a recorder with the versions of shop/web, a
// node, and two gaps.
func newRecorder(t *testing.T) http.Handler {
	t.Helper()
	before := time.Now().Add(-24 * time.Hour) // before all records
	return recordertest.NewAPI(t, []history.Resource{
		{
			Group: "apps", Version: "v1", Plural: "deployments",
			Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true,
		},
		{Version: "v1", Plural: "nodes", Kind: "Node", Singular: "node", ShortNames: []string{"no"}},
	}, &history.Batch{Gaps: []history.Gap{
		{Resource: "nodes", Start: before, End: before.Add(time.Minute), Reason: history.GapExpired, Detail: "too old"},
		{Group: "apps", Resource: "deployments", Start: before.Add(time.Hour), Reason: history.GapForbidden},
	}}, &history.Batch{Versions: newVersions()})
}

func newVersions() []history.NewVersion {
	web := history.ObjectRef{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web", UID: "u-web"}
	node := history.ObjectRef{Resource: "nodes", Name: "node-1", UID: "u-node"}
	all := []history.NewVersion{{Record: &history.Record{
		Ref: node, Version: "v1", Kind: "Node", Verb: history.Create, RV: "1", Initial: true,
		Object: []byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-1"}}`),
	}}}
	for i := range versions {
		verb := history.Update
		if i == 0 {
			verb = history.Create
		}
		all = append(all, history.NewVersion{Record: &history.Record{
			Ref: web, Version: "v1", Kind: "Deployment", Verb: verb, RV: fmt.Sprint(100 + i),
			Managers: []history.Manager{{Name: "kubectl-edit", Operation: "Update"}},
			Object: fmt.Appendf(nil,
				`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"shop"},`+
					`"spec":{"replicas":%d}}`, i),
		}})
	}
	return all
}

func newRecorderClient(t *testing.T) *client.Client {
	t.Helper()
	s := httptest.NewServer(newRecorder(t))
	t.Cleanup(s.Close)
	return newClient(t, s.URL, client.Options{})
}

func TestRecorder_AnswersEveryQuery(t *testing.T) {
	c := newRecorderClient(t)
	if err := c.Health(t.Context()); err != nil {
		t.Errorf("Health: got error %v, want none", err)
	}
	list, err := c.Resources(t.Context())
	if err != nil || len(list.Resources) != 2 {
		t.Errorf("Resources: got %+v, error %v, want 2 resources", list, err)
	}
	for name, tc := range map[string]struct {
		query client.EventsQuery
		want  int
	}{
		"all":              {client.EventsQuery{}, versions + 1},
		"two types":        {client.EventsQuery{Resources: []string{"deploy", "nodes"}}, versions + 1},
		"a short name":     {client.EventsQuery{Resources: []string{"deploy"}}, versions},
		"a group":          {client.EventsQuery{Group: "apps"}, versions},
		"cluster-scoped":   {client.EventsQuery{Namespace: history.ClusterScoped}, 1},
		"a namespace":      {client.EventsQuery{Namespace: "shop"}, versions},
		"another one":      {client.EventsQuery{Namespace: "bank"}, 0},
		"a name":           {client.EventsQuery{Name: "node-1"}, 1},
		"a UID":            {client.EventsQuery{UID: "u-web"}, versions},
		"a verb":           {client.EventsQuery{Verbs: []history.Verb{history.Create}}, 2},
		"a manager":        {client.EventsQuery{Managers: []string{"kubectl-edit"}}, versions},
		"without bodies":   {client.EventsQuery{Summary: true}, versions + 1},
		"no more than two": {client.EventsQuery{Limit: 2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := c.Events(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Events) != tc.want {
				t.Errorf("events: got %d, want %d", len(page.Events), tc.want)
			}
			for _, e := range page.Events {
				if got, want := e.ObjectChanges != nil, !tc.query.Summary; got != want {
					t.Errorf("event %s has a body: got %t, want %t", e.ResourceVersion, got, want)
				}
			}
		})
	}
}

// resourceVersions returns the resourceVersions of a sequence of events.
func resourceVersions(t *testing.T, events iter.Seq2[v1.Event, error]) (all []string) {
	t.Helper()
	for event, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, event.ResourceVersion)
	}
	return all
}

func TestRecorder_IteratorsPageInBothOrders(t *testing.T) {
	c := newRecorderClient(t)
	wantAll := []string{"1", "100", "101", "102", "103", "104", "105", "106", "107", "108"}
	wantObject := wantAll[1:]
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		all, object := slices.Clone(wantAll), slices.Clone(wantObject)
		if order == history.NewestFirst {
			slices.Reverse(all)
			slices.Reverse(object)
		}
		got := resourceVersions(t, c.All(t.Context(), client.EventsQuery{Order: order, Limit: 3}))
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("All in order %d (-want +got):\n%s", order, diff)
		}
		q := client.ObjectQuery{Namespace: "shop", Resource: "deploy", Name: "web", Order: order, Limit: 2}
		if diff := cmp.Diff(object, resourceVersions(t, c.Versions(t.Context(), q))); diff != "" {
			t.Errorf("Versions in order %d (-want +got):\n%s", order, diff)
		}
		if got := resourceVersions(t, c.Related(t.Context(), q)); len(got) > 0 {
			t.Errorf("Related in order %d: got %q, want none", order, got)
		}
	}
}

func TestRecorder_StartIsInclusive(t *testing.T) {
	c := newRecorderClient(t)
	all, err := c.Events(t.Context(), client.EventsQuery{Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	window, err := c.Events(t.Context(), client.EventsQuery{Start: all.Events[2].Timestamp, Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	sameVersion := func(a, b v1.Event) bool { return a.UID == b.UID && a.ResourceVersion == b.ResourceVersion }
	if diff := cmp.Diff(all.Events[2:], window.Events, cmp.Comparer(sameVersion)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRecorder_ReturnsObjectHistory(t *testing.T) {
	c := newRecorderClient(t)
	page, err := c.Object(t.Context(), client.ObjectQuery{
		Namespace: "shop", Resource: "deploy", Name: "web", Order: history.NewestFirst, Limit: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if page.Total != versions || !page.TotalExact || !page.HasMore || len(page.WatchEvents) != 2 ||
		page.WatchEvents[0].Revision != versions {
		t.Errorf("got %+v, want the 2 newest of %d versions", page, versions)
	}
	some, err := c.Object(t.Context(),
		client.ObjectQuery{Namespace: "shop", Resource: "deploy", Name: "web", Revisions: []uint64{2, 5}})
	if err != nil || len(some.WatchEvents) != 2 || some.WatchEvents[1].Revision != 5 {
		t.Errorf("two revisions: got %+v, error %v, want revisions 2 and 5", some, err)
	}
	node, err := c.Object(t.Context(),
		client.ObjectQuery{Namespace: history.ClusterScoped, Resource: "node", Name: "node-1"})
	if err != nil || len(node.WatchEvents) != 1 || !node.WatchEvents[0].Initial {
		t.Errorf("a node: got %+v, error %v, want one initial version", node, err)
	}
	none, err := c.Object(t.Context(), client.ObjectQuery{Namespace: "shop", Resource: "deploy", Name: "none"})
	if err != nil || len(none.WatchEvents)+len(none.RelatedEvents) != 0 {
		t.Errorf("an unknown object: got %+v, error %v, want no records", none, err)
	}
}

func TestRecorder_RejectsInvalidParameters(t *testing.T) {
	c := newRecorderClient(t)
	_, err := c.Events(t.Context(), client.EventsQuery{Cursor: "no cursor"})
	wantError(t, err, history.Invalid, "no cursor")
	_, err = c.Object(t.Context(), client.ObjectQuery{
		Namespace: history.ClusterScoped, Resource: "nodes", Name: "node-1", Revisions: []uint64{0},
	})
	wantError(t, err, history.Invalid, "revision")
}

// Every answer with records counts the gaps that Gaps lists.
func TestRecorder_PagesCountGaps(t *testing.T) {
	c := newRecorderClient(t)
	all, err := c.Gaps(t.Context(), client.GapsQuery{})
	if err != nil || len(all) == 0 {
		t.Fatalf("got %+v, error %v, want gaps", all, err)
	}
	first := all[0].Start
	want := []v1.Gap{
		{Resource: "nodes", Start: first, End: first.Add(time.Minute), Reason: "expired", Detail: "too old"},
		{Group: "apps", Resource: "deployments", Start: first.Add(time.Hour), Reason: "forbidden"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		query client.GapsQuery
		want  []v1.Gap
	}{
		"all":     {client.GapsQuery{}, want},
		"a type":  {client.GapsQuery{Resources: []string{"deploy"}}, want[1:]},
		"a group": {client.GapsQuery{Group: "apps"}, want[1:]},
		"later":   {client.GapsQuery{Start: first.Add(2 * time.Minute)}, want[1:]},
		"earlier": {client.GapsQuery{End: first.Add(2 * time.Minute)}, want[:1]},
		"before":  {client.GapsQuery{End: first}, []v1.Gap{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Gaps(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
			page, err := c.Events(t.Context(), client.EventsQuery{
				Start: tc.query.Start, End: tc.query.End, Resources: tc.query.Resources,
				Group: tc.query.Group, Limit: 1,
			})
			if err != nil || page.Gaps != len(tc.want) {
				t.Errorf("gaps of a page: got %d, error %v, want %d", page.Gaps, err, len(tc.want))
			}
			newest := slices.Clone(tc.want) // a header has no details, and the newest gap first
			slices.Reverse(newest)
			for i := range newest {
				newest[i].Detail = ""
			}
			if diff := cmp.Diff(newest, append([]v1.Gap{}, page.NewestGaps...)); diff != "" {
				t.Errorf("newest gaps of a page (-want +got):\n%s", diff)
			}
		})
	}
	object, err := c.Object(t.Context(),
		client.ObjectQuery{Namespace: history.ClusterScoped, Resource: "nodes", Name: "missing"})
	if err != nil || object.Gaps != 1 {
		t.Errorf("gaps of an object's page: got %d, error %v, want 1", object.Gaps, err)
	}
}

func TestRecorder_ErrorNamesParameter(t *testing.T) {
	c := newRecorderClient(t)
	for parameter, q := range map[string]client.EventsQuery{
		v1.ParamQuery:         {Expression: "verb ="},
		v1.ParamLabelSelector: {LabelSelector: "app in"},
		v1.ParamCursor:        {Cursor: "x"},
	} {
		_, err := c.Events(t.Context(), q)
		wrong, ok := errors.AsType[*client.ParameterError](err)
		if !ok || wrong.Parameter != parameter || wrong.Problem == "" || strings.Contains(wrong.Problem, "parameter") {
			t.Errorf("got error %v, cause %+v, want one that names %s once", err, wrong, parameter)
		}
		wantError(t, err, history.Invalid, "parameter "+parameter+": ")
		if !errors.Is(err, client.ErrAnswered) {
			t.Errorf("got error %v, want ErrAnswered", err)
		}
	}
}
