package api_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/rig/openapi"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// golden compares got with a file, or writes the file if the tests run with
// -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = "testdata/" + file
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

// server is the API of a real log. The log's clock advances by a second with
// each record.
type server struct {
	http.Handler

	tb    testing.TB
	log   *store.Store
	clock sync.Mutex // guards now while requests are served
	now   time.Time
}

func newServer(tb testing.TB, o api.Options) *server {
	tb.Helper()
	return newServerAt(tb, o, time.Date(2100, 1, 2, 3, 4, 5, 6007008, time.UTC))
}

// newServerAt returns a server whose clock begins at a time.
func newServerAt(tb testing.TB, o api.Options, now time.Time) *server {
	tb.Helper()
	s := &server{tb: tb, now: now}
	log, err := store.Open(tb.TempDir(), store.Options{NoSync: true, Now: func() time.Time {
		s.clock.Lock()
		defer s.clock.Unlock()
		return s.now
	}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := log.Close(); err != nil {
			tb.Error(err)
		}
	})
	s.log, s.Handler = log, api.New(query.New(log, query.Options{Feed: log}), o)
	for _, r := range []history.Resource{
		{Version: "v1", Plural: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true},
		{Version: "v1", Plural: "nodes", Singular: "node", Kind: "Node"},
		{Version: "v1", Plural: "events", Singular: "event", Kind: "Event", Namespaced: true},
		{
			Version: "v1", Plural: "configmaps", Singular: "configmap",
			Kind: "ConfigMap", ShortNames: []string{"cm"}, Namespaced: true,
		},
		{
			Version: "v1", Plural: "persistentvolumeclaims",
			Kind: "PersistentVolumeClaim", ShortNames: []string{"pvc"}, Namespaced: true,
		},
		{Version: "v1", Plural: "persistentvolumes", Kind: "PersistentVolume", ShortNames: []string{"pv"}},
		{
			Group: "apps", Version: "v1", Plural: "deployments", Singular: "deployment",
			Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true,
		},
		{
			Group: "apps", Version: "v1", Plural: "replicasets",
			Singular: "replicaset", Kind: "ReplicaSet", Namespaced: true,
		},
	} {
		if err := log.Register(tb.Context(), r); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

// advance advances the clock.
func (s *server) advance(d time.Duration) {
	s.clock.Lock()
	defer s.clock.Unlock()
	s.now = s.now.Add(d)
}

func (s *server) put(records ...*history.Record) {
	s.tb.Helper()
	for _, r := range records {
		s.advance(time.Second)
		err := s.log.Append(s.tb.Context(), &history.Batch{Versions: []history.NewVersion{{Record: r}}})
		if err != nil {
			s.tb.Fatal(err)
		}
	}
}

// get sends a request, and returns the status, the headers and the body.
func (s *server) get(target string) (int, http.Header, string) {
	s.tb.Helper()
	return s.do(http.MethodGet, target)
}

func (s *server) do(method, target string) (int, http.Header, string) {
	s.tb.Helper()
	r := httptest.NewRequestWithContext(s.tb.Context(), method, "/", http.NoBody)
	path, raw, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, raw
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	s.check(method, path, w)
	return w.Code, w.Header(), w.Body.String()
}

// check compares an answer with the OpenAPI document.
func (s *server) check(method, path string, w *httptest.ResponseRecorder) {
	s.tb.Helper()
	if err := checker().Check(openapi.Answer{
		Method: method, Path: path, Status: w.Code, Header: w.Header(), Body: w.Body.Bytes(),
	}); err != nil {
		s.tb.Error(err)
	}
}

// checker compares every answer of these tests with the OpenAPI document.
var checker = sync.OnceValue(func() *openapi.Checker {
	c, err := openapi.NewChecker("openapi.json")
	if err != nil {
		panic(err)
	}
	return c
})

// change returns a version of an object of a registered resource.
func change(verb history.Verb, resource, namespace, name, body string) *history.Record {
	group, kind := "", map[string]string{
		"pods": "Pod", "nodes": "Node", "events": "Event", "configmaps": "ConfigMap",
		"deployments": "Deployment", "replicasets": "ReplicaSet",
		"persistentvolumeclaims": "PersistentVolumeClaim", "persistentvolumes": "PersistentVolume",
	}[resource]
	if resource == "deployments" || resource == "replicasets" {
		group = "apps"
	}
	return &history.Record{
		Ref: history.ObjectRef{
			Group: group, Resource: resource, Namespace: namespace, Name: name, UID: types.UID("uid-of-" + name),
		},
		Version: "v1", Kind: kind, Verb: verb, RV: "4711", Object: []byte(body),
	}
}

// regarding returns an Event regarding a record's object.
func regarding(name string, of *history.Record, body string) *history.Record {
	r := change(history.Create, "events", "shop", name, body)
	r.Regarding = &history.Target{
		Group: of.Ref.Group, Kind: of.Kind, Namespace: of.Ref.Namespace, Name: of.Ref.Name, UID: of.Ref.UID,
	}
	return r
}
