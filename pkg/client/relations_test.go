package client_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

func TestRelations_SendsEveryField(t *testing.T) {
	s := newStub(t, 200, "application/json", `{"at":"2026-01-02T03:04:05Z","objects":[{"state":"exists"},`+
		`{"state":"missing","resourceName":"x"}],"relations":[{"from":0,"to":1,"rule":"env","new":1}],"new":{}}`,
		"X-Total-Count", "1", "X-Total-Count-Relation", "gte")
	page, err := newClient(t, s.URL+"/prefix/", client.Options{}).Relations(t.Context(), client.RelationsQuery{
		At: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)), Namespace: history.ClusterScoped,
		Resource: "clusterroles", Group: "rbac.authorization.k8s.io", Name: "system:node", Depth: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.request.URL.Path, "/prefix/api/v1/relations/-/clusterroles/system:node"; got != want {
		t.Errorf("path: got %q, want %q", got, want)
	}
	want := "at=2026-01-02T02%3A04%3A05.000000006Z&depth=3&group=rbac.authorization.k8s.io"
	if diff := cmp.Diff(want, s.request.URL.RawQuery); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if page.TotalExact || page.Total != 1 || len(page.Objects) != 2 || page.Relations[0].Rule != "env" {
		t.Errorf("got %+v, want two objects and one relation that is not all", page)
	}
}

func TestRelations_RequiresOneObject(t *testing.T) {
	c := newClient(t, "http://127.0.0.1:1", client.Options{})
	for _, q := range []client.RelationsQuery{
		{},
		{Namespace: "shop", Resource: "pods"},
		{Namespace: "shop", Resource: "pods", Name: "a/b"},
		{Namespace: history.AllNamespaces, Resource: "pods", Name: "web"},
	} {
		_, err := c.Relations(t.Context(), q)
		wantError(t, err, history.Invalid, "query object")
	}
}

func TestRelations_RejectsInvalidPositions(t *testing.T) {
	for _, body := range []string{
		`{}`, `{"objects":[]}`, `{"objects":[{}],"relations":[{"from":0,"to":1}]}`,
		`{"objects":[{},{}],"relations":[{"from":-1,"to":1}]}`, `{"objects":[{}],"relations":[{"from":"a"}]}`, `[]`,
	} {
		s := newStub(t, 200, "application/json", body)
		_, err := newClient(t, s.URL, client.Options{}).Relations(t.Context(),
			client.RelationsQuery{Namespace: "shop", Resource: "pods", Name: "web"})
		wantError(t, err, history.Internal)
	}
}

func TestRelations_OfRealRecorder(t *testing.T) {
	handler := recordertest.NewAPI(t, []history.Resource{
		{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node"},
	}, &history.Batch{Versions: []history.NewVersion{
		{Record: &history.Record{
			Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web", UID: "u"},
			Version: "v1", Kind: "Pod", Verb: history.Create, RV: "1", Object: []byte(`{"spec":{"nodeName":"gone"}}`),
		}},
	}})
	s := httptest.NewServer(handler)
	defer s.Close()
	c := newClient(t, s.URL, client.Options{})
	page, err := c.Relations(t.Context(), client.RelationsQuery{Namespace: "shop", Resource: "pods", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	want := []v1.Relation{{From: 0, To: 1, Rule: "node", Path: "spec.nodeName"}}
	if diff := cmp.Diff(want, page.Relations); diff != "" || page.Objects[1].State != "missing" {
		t.Errorf("got objects %+v, relations (-want +got):\n%s", page.Objects, diff)
	}
	_, err = c.Relations(t.Context(), client.RelationsQuery{Namespace: "shop", Resource: "pods", Name: "api"})
	wantError(t, err, history.NotFound, "did not exist")
}
