package query_test

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is a real log. Its clock advances by a second with each record.
type log struct {
	*store.Store

	t   *testing.T
	now time.Time
}

// newEmptyLog returns a log without resources.
func newEmptyLog(t *testing.T) *log {
	t.Helper()
	l := &log{t: t, now: time.Now().UTC().Truncate(time.Second)}
	s, err := store.Open(t.TempDir(), store.Options{NoSync: true, Now: func() time.Time { return l.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	l.Store = s
	return l
}

func newLog(t *testing.T) *log {
	t.Helper()
	l := newEmptyLog(t)
	for _, r := range []history.Resource{
		{Version: "v1", Plural: "pods", Singular: "pod", Kind: "Pod", ShortNames: []string{"po"}, Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node", ShortNames: []string{"no"}},
		{
			Version: "v1", Plural: "events", Singular: "event",
			Kind: "Event", ShortNames: []string{"ev"}, Namespaced: true,
		},
		{
			Version: "v1", Plural: "services", Singular: "service",
			Kind: "Service", ShortNames: []string{"svc"}, Namespaced: true,
		},
		{
			Group: "serving.knative.dev", Version: "v1", Plural: "services", Singular: "service",
			Kind: "Service", ShortNames: []string{"kservice"}, Namespaced: true,
		},
		{
			Group: "apps", Version: "v1", Plural: "deployments", Singular: "deployment",
			Kind: "Deployment", ShortNames: []string{"deploy"}, Namespaced: true,
		},
		{
			Group: "apps", Version: "v1", Plural: "replicasets", Singular: "replicaset",
			Kind: "ReplicaSet", ShortNames: []string{"rs"}, Namespaced: true,
		},
		{
			Group: "example.com", Version: "v2", Plural: "widgets", Singular: "widget",
			Kind: "Widget", ShortNames: []string{"nodes"}, Namespaced: true,
		},
	} {
		if err := l.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// put appends records, one second apart.
func (l *log) put(records ...*history.Record) {
	l.t.Helper()
	for _, r := range records {
		l.now = l.now.Add(time.Second)
		if err := l.Append(l.t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: r}}}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *log) service(o query.Options) *query.Service { return query.New(l.Store, o) }

// ref returns a reference whose UID contains the name and the incarnation.
func ref(group, resource, namespace, name string, incarnation int) history.ObjectRef {
	uid := types.UID(fmt.Sprintf("uid-%s-%s-%d", resource, name, incarnation))
	return history.ObjectRef{Group: group, Resource: resource, Namespace: namespace, Name: name, UID: uid}
}

func kindOf(resource string) string {
	return map[string]string{
		"pods": "Pod", "nodes": "Node", "services": "Service", "deployments": "Deployment", "replicasets": "ReplicaSet",
		"widgets": "Widget", "events": "Event",
	}[resource]
}

func record(o history.ObjectRef, verb history.Verb, object string) *history.Record {
	return &history.Record{Ref: o, Version: "v1", Kind: kindOf(o.Resource), Verb: verb, RV: "1", Object: []byte(object)}
}

// owned returns the first record of an object that another one owns.
func owned(o, by history.ObjectRef) *history.Record {
	r := record(o, history.Create,
		`{"metadata":{"ownerReferences":[{"kind":"`+kindOf(by.Resource)+`","name":"`+by.Name+`","controller":true}]}}`)
	r.Owners = append(r.Owners, by.UID)
	return r
}

// event returns the record of a Kubernetes Event regarding an object.
func event(name string, regarding history.ObjectRef, uid types.UID) *history.Record {
	r := record(ref("", "events", "shop", name, 1), history.Create,
		`{"type":"Normal","reason":"Scheduled","message":"about `+regarding.Name+`"}`)
	r.Regarding = &history.Target{
		Group: regarding.Group, Kind: kindOf(regarding.Resource), Namespace: regarding.Namespace,
		Name: regarding.Name, UID: uid,
	}
	return r
}

func names(p query.Page) []string {
	all := []string{}
	for _, v := range p.Versions {
		all = append(all, v.Ref.Name)
	}
	return all
}

func summaries(p query.Page) []string {
	all := []string{}
	for _, v := range p.Versions {
		all = append(all, v.Summary)
	}
	return all
}
