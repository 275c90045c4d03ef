package query_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// kinds are the kinds of the objects of these tests.
var kinds = map[string]string{"statefulsets": "StatefulSet", "daemonsets": "DaemonSet", "jobs": "Job"}

// register adds a namespaced resource to the catalogue.
func (l *log) register(r history.Resource) {
	l.t.Helper()
	r.Version, r.Namespaced = "v1", true
	if err := l.Register(l.t.Context(), r); err != nil {
		l.t.Fatal(err)
	}
}

// controller returns a record of a controller that has none of its pods yet.
func controller(group, resource string, verb history.Verb) *history.Record {
	status := map[string]string{
		"statefulsets": `"spec":{"replicas":2},"status":{"observedGeneration":1}`,
		"daemonsets":   `"spec":{},"status":{"observedGeneration":1,"desiredNumberScheduled":2}`,
		"jobs":         `"spec":{},"status":{}`,
	}[resource]
	r := record(ref(group, resource, "shop", "web", 1), verb,
		`{"metadata":{"name":"web","namespace":"shop","generation":1},`+status+`}`)
	r.Kind, r.Class = kinds[resource], history.Root
	return r
}

// podEvent returns the record of an Event of a controller about one of its
// pods.
func podEvent(name string, of *history.Record, kind, reason, message string) *history.Record {
	r := event(name, of.Ref, of.Ref.UID)
	r.Regarding.Kind, r.Class = of.Kind, history.Consequence
	r.Object = []byte(fmt.Sprintf(`{"type":%q,"reason":%q,"message":%q}`, kind, reason, message))
	return r
}

// The API server's messages about pods that it refuses.
const (
	overQuota = `create Pod web-0 in StatefulSet web failed error: pods "web-0" is forbidden: exceeded quota: ` +
		`team-a, requested: pods=1, used: pods=5, limited: pods=5`
	byWebhook   = `Error creating: admission webhook "check.example" denied the request: no owner label`
	podSecurity = `Error creating: pods "web-x" is forbidden: violates PodSecurity "restricted:latest": privileged`
)

func TestEndings_SayThatPodsAreRefused(t *testing.T) {
	for _, tt := range []struct{ group, resource, message, want string }{
		{"apps", "statefulsets", overQuota, "0/2 ready: quota team-a exceeded: pods"},
		{"apps", "daemonsets", podSecurity, `0/2 ready: violates PodSecurity "restricted:latest": privileged`},
		{"batch", "jobs", byWebhook, "0 pods active: webhook check.example denied: no owner label"},
	} {
		t.Run(tt.resource, func(t *testing.T) {
			l := newEmptyLog(t)
			l.register(history.Resource{Group: tt.group, Plural: tt.resource, Kind: kinds[tt.resource]})
			l.register(history.Resource{Plural: "events", Kind: "Event"})
			web := controller(tt.group, tt.resource, history.Create)
			l.put(web)
			status := controller(tt.group, tt.resource, history.Update)
			status.Class = history.Consequence
			refused := podEvent("refused", web, "Warning", "FailedCreate", tt.message)
			refused.Class = history.Onset
			l.put(status, refused)
			s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
			q := query.Timeline{Types: []string{tt.resource}, Limit: 10, Endings: true}

			if got := endingOf(t, s, q); got != "failing "+tt.want {
				t.Errorf("got the outcome %q, want failing %s", got, tt.want)
			}
			page, err := s.Folded(t.Context(), q)
			if err != nil || len(page.Rows) != 1 || page.Rows[0].Outcome == nil ||
				page.Rows[0].Outcome.Text != tt.want {
				t.Errorf("got the rows %+v, error %v, want one with the outcome %s", page.Rows, err, tt.want)
			}
			answer, err := s.Why(t.Context(), query.Why{Type: tt.resource, Namespace: "shop", Name: "web"})
			if err != nil || answer.Health != (symptom.Health{State: symptom.Failing, Text: tt.want}) ||
				len(answer.Symptoms) != 1 || !answer.Onset.Equal(refused.Time) {
				t.Errorf("got %+v with the symptoms %+v since %v, error %v, want failing %s since %v",
					answer.Health, answer.Symptoms, answer.Onset, err, tt.want, refused.Time)
			}

			l.put(podEvent("created", web, "Normal", "SuccessfulCreate", "created pod web-0"))
			if got := endingOf(t, s, q); strings.HasPrefix(got, "failing") {
				t.Errorf("got the outcome %q after a pod was created, want another one", got)
			}
		})
	}
}

// endingOf returns the outcome of the newest change of a question.
func endingOf(t *testing.T, s *query.Service, q query.Timeline) string {
	t.Helper()
	page, err := s.Timeline(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, v := range page.Versions {
		if v.Ending != nil && v.Ending.Outcome != nil {
			got = v.Ending.Outcome.State.String() + " " + v.Ending.Outcome.Text
		}
	}
	return got
}

// TestEndings_AreThoseOfRows checks single changes against folded rows, and
// that only root changes have an ending.
func TestEndings_AreThoseOfRows(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment"})
	web := ref("apps", "deployments", "shop", "web", 1)
	put := func(o history.ObjectRef, class history.Class, object string, owner types.UID) {
		r := record(o, history.Update, object)
		if r.Class = class; owner != "" {
			r.Owners = []types.UID{owner}
		}
		r.Managers = []history.Manager{{Name: "helm"}}
		l.put(r)
	}
	deployment := func(generation, observed, ready int) string {
		return fmt.Sprintf(`{"metadata":{"name":"web","generation":%d,"labels":{"app.kubernetes.io/managed-by":"Helm",`+
			`"helm.sh/chart":"web-1.2.3"},"annotations":{"meta.helm.sh/release-name":"web",`+
			`"meta.helm.sh/release-namespace":"shop"}},"spec":{"replicas":1,"n":%[1]d},`+
			`"status":{"observedGeneration":%[2]d,"replicas":1,"updatedReplicas":1,"readyReplicas":%[3]d,`+
			`"availableReplicas":%[3]d}}`, generation, observed, ready)
	}
	put(web, history.Root, deployment(1, 0, 0), "")
	put(web, history.Consequence, deployment(1, 1, 1), "")
	put(web, history.Root, deployment(2, 1, 1), "")
	put(web, history.Consequence, deployment(2, 2, 0), "")
	put(ref("", "pods", "shop", "web-1", 1), history.Onset, `{"metadata":{"name":"web-1"},"status":{"phase":"Running",`+
		`"containerStatuses":[{"name":"app","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`, web.UID)
	put(ref("", "services", "shop", "web", 1), history.Root, `{"spec":{"selector":{"app":"wep"}}}`, "")
	s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	page, err := s.Timeline(t.Context(), query.Timeline{Limit: 10, Endings: true})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range page.Versions {
		text := fmt.Sprint(v.Ref.Resource, "#", v.Revision)
		if e := v.Ending; e != nil {
			text += fmt.Sprintf(" %s %s, %d", e.Outcome.State, e.Outcome.Text, e.Consequences)
			if e.Delivery != nil {
				text += ", " + e.Delivery.String()
			}
		}
		got = append(got, text)
	}
	want := []string{
		"deployments#1 ready 1/1 ready, 1, chart web-1.2.3",
		"deployments#2",
		"deployments#3 failing pod/web-1 CrashLoopBackOff, 2, chart web-1.2.3",
		"deployments#4",
		"pods#1",
		"services#1 failing matches 0 pods, 0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	// A filter that leaves out the pod does not change the outcome.
	q := query.Timeline{Types: []string{"deployments"}, Limit: 10, Endings: true}
	if got := endingOf(t, s, q); got != "failing pod/web-1 CrashLoopBackOff" {
		t.Errorf("got the outcome %q of the Deployment alone, want that of its pod", got)
	}
}

// TestEndings_CountObjectsAndNotEvents checks that several Events about one
// object are one problem.
func TestEndings_CountObjectsAndNotEvents(t *testing.T) {
	l := newEmptyLog(t)
	web, set := ref("apps", "deployments", "shop", "web", 1), ref("apps", "replicasets", "shop", "web-1", 1)
	l.register(history.Resource{Group: "apps", Plural: "deployments", Kind: "Deployment"})
	created := record(web, history.Create, `{"spec":{"replicas":2},"status":{"observedGeneration":1}}`)
	replica := owned(set, web)
	replica.Class = history.Consequence
	l.put(created, replica)
	for _, name := range []string{"a", "b", "c"} {
		refused := podEvent(name, replica, "Warning", "FailedCreate", byWebhook)
		refused.Class = history.Onset
		l.put(refused)
	}
	s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	const want = "failing replicaset/web-1 webhook check.example denied: no owner label"
	if got := endingOf(t, s, query.Timeline{Types: []string{"deployments"}, Limit: 10, Endings: true}); got != want {
		t.Errorf("got the outcome %q, want %s", got, want)
	}
}

// TestEndings_HideWhatTheCallerMayNotRead checks that the ending of a change is
// that of a log with only what the caller may read.
func TestEndings_HideWhatTheCallerMayNotRead(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Group: "apps", Plural: "statefulsets", Kind: "StatefulSet"})
	l.register(history.Resource{Plural: "events", Kind: "Event"})
	l.register(history.Resource{Plural: "pods", Kind: "Pod"})
	web := controller("apps", "statefulsets", history.Create)
	status := controller("apps", "statefulsets", history.Update)
	status.Class = history.Consequence
	crash := owned(ref("", "pods", "shop", "web-0", 1), web.Ref)
	crash.Class = history.Onset
	l.put(web, status, crash, podEvent("refused", web, "Warning", "FailedCreate", overQuota))
	s := l.service(query.Options{EarlierNamespaces: true, Now: func() time.Time { return l.now.Add(time.Second) }})
	for _, tt := range []struct {
		caller       *rights
		outcome      string
		consequences int
	}{
		{newRights("list statefulsets.apps shop/", "list events shop/", "list pods shop/"), "failing", 3},
		{newRights("list statefulsets.apps shop/", "list pods shop/"), "progressing", 2},
		{newRights("list statefulsets.apps shop/"), "progressing", 1},
	} {
		page, err := s.As(tt.caller).Timeline(t.Context(), query.Timeline{
			Types: []string{"statefulsets"}, Limit: 10, Endings: true, Filter: history.Filter{Namespace: "shop"},
		})
		if err != nil || len(page.Versions) != 2 || page.Versions[0].Ending == nil {
			t.Fatalf("got %+v, error %v, want two versions, the first one with an ending", page.Versions, err)
		}
		got := page.Versions[0].Ending
		if got.Outcome.State.String() != tt.outcome || got.Consequences != tt.consequences {
			t.Errorf("with %v: got %+v and %d consequences, want %s and %d", tt.caller.allowed, got.Outcome,
				got.Consequences, tt.outcome, tt.consequences)
		}
	}
}

// TestCompare_CountsWhatTheCallerMayRead checks the number of objects.
func TestCompare_CountsWhatTheCallerMayRead(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Plural: "services", Kind: "Service"})
	l.register(history.Resource{Plural: "secrets", Kind: "Secret"})
	for i := range 3 {
		l.put(record(ref("", "secrets", "shop", fmt.Sprint("s", i), 1), history.Create, `{}`))
	}
	l.put(record(ref("", "services", "shop", "web", 1), history.Create, `{}`))
	s := l.service(query.Options{EarlierNamespaces: true, Now: func() time.Time { return l.now.Add(time.Second) }})
	page, err := s.As(newRights("list services shop/")).Compare(t.Context(), query.Compare{
		Objects: query.Objects{Namespace: "shop"}, From: l.now, Limit: 10, Count: true,
	})
	if n := page.Existed; err != nil || n == nil || n.Objects != 1 {
		t.Errorf("got the count %+v, error %v, want 1", n, err)
	}
}

// TestEndings_EndWithTheirNamespace checks that what happens while a namespace
// is deleted is not an outcome.
func TestEndings_EndWithTheirNamespace(t *testing.T) {
	l := newEmptyLog(t)
	l.register(history.Resource{Group: "apps", Plural: "statefulsets", Kind: "StatefulSet"})
	web := controller("apps", "statefulsets", history.Create)
	ready := controller("apps", "statefulsets", history.Update)
	ready.Class = history.Consequence
	ready.Object = []byte(`{"spec":{"replicas":1},"status":{"replicas":1,"readyReplicas":1,"updatedReplicas":1}}`)
	l.put(web, ready)
	requested := l.now.Add(time.Millisecond).Format(time.RFC3339Nano)
	unready := controller("apps", "statefulsets", history.Update)
	unready.Class = history.Consequence
	gone := controller("apps", "statefulsets", history.Delete)
	l.put(unready, gone, record(ref("", "namespaces", "", "shop", 1), history.Delete,
		`{"metadata":{"deletionTimestamp":"`+requested+`"}}`))
	s := l.service(query.Options{Now: func() time.Time { return l.now.Add(time.Second) }})
	q := query.Timeline{Types: []string{"statefulsets"}, Limit: 1, Endings: true}
	if got := endingOf(t, s, q); got != "ready 1/1 ready" {
		t.Errorf("got the outcome %q, want that before the deletion of the namespace", got)
	}
}
