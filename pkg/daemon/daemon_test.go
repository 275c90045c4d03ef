package daemon_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// verbs returns the verbs of events, separated by spaces. That of an initial
// version is "initial".
func verbs(events []v1.Event) string {
	var all []string
	for _, e := range events {
		verb := e.Verb
		if e.Initial {
			verb = "initial"
		}
		all = append(all, verb)
	}
	return strings.Join(all, " ")
}

// TestDaemon_RecordsObjectLife creates, updates and deletes an object, next to
// one that existed before.
func TestDaemon_RecordsObjectLife(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "life")
	kubectl(t, "create", "configmap", "before", "-n", "life", "--from-literal=a=1")
	r := start(t, t.TempDir(), cluster.Config(), nil)

	kubectl(t, "create", "configmap", "during", "-n", "life", "--from-literal=a=1")
	kubectl(t, "patch", "configmap", "during", "-n", "life", "-p", `{"data":{"a":"2"}}`)
	kubectl(t, "delete", "configmap", "during", "-n", "life")
	const during = "namespace=life&resourceType=configmaps&resourceName=during"
	r.eventually(t, "the deletion is recorded", func() (bool, string) {
		got := verbs(r.events(t, during))
		return got == "create update delete", got
	})
	if got := verbs(r.events(t, "namespace=life&resourceType=configmaps&resourceName=before")); got != "initial" {
		t.Errorf("object from before: got %q, want initial", got)
	}
	events := r.events(t, during)
	if events[1].ResourceVersion == events[0].ResourceVersion || events[0].UID == "" || events[1].Kind != "ConfigMap" {
		t.Errorf("got update %+v, want a new resourceVersion, a UID and kind ConfigMap", events[1])
	}
	if got := events[1].Managers; len(got) != 1 || got[0].Manager != "kubectl-patch" {
		t.Errorf("update: got managers %+v, want kubectl-patch", got)
	}
}

// TestDaemon_RecordsEveryVersionOnceAcrossRestart changes objects while the
// recorder is stopped.
func TestDaemon_RecordsEveryVersionOnceAcrossRestart(t *testing.T) {
	noLeaks(t)
	dir := t.TempDir()
	kubectl(t, "create", "namespace", "restart")
	first := start(t, dir, cluster.Config(), nil)
	kubectl(t, "create", "configmap", "one", "-n", "restart")
	first.eventually(t, "the creation is recorded", func() (bool, string) {
		got := verbs(first.events(t, "namespace=restart&resourceName=one"))
		return got == "create", got
	})
	first.observesAll(t)
	before := len(first.events(t, ""))
	first.stop(t)

	// The watch resumes at the checkpoint, so these changes are recorded.
	kubectl(t, "create", "configmap", "two", "-n", "restart")
	kubectl(t, "delete", "configmap", "two", "-n", "restart")
	second := start(t, dir, cluster.Config(), nil)
	second.eventually(t, "the changes of this time are recorded", func() (bool, string) {
		got := verbs(second.events(t, "namespace=restart&resourceName=two"))
		return got == "create delete", got
	})
	if after := len(second.events(t, "")); after != before+2 {
		t.Errorf("after the restart and 2 changes: got %d records, want %d", after, before+2)
	}
}

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.daemon.example.com}
spec:
  group: daemon.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd]}
  versions:
  - {name: v1alpha1, served: true, storage: false, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// TestDaemon_RecordsNewCRDOnce defines a CRD with two versions: its objects are
// recorded in the storage version only.
func TestDaemon_RecordsNewCRDOnce(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), nil)
	apply(t, widgets)
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", "widgets.daemon.example.com")
	})
	kubectl(t, "wait", "--for=condition=Established", "crd/widgets.daemon.example.com")
	apply(t, `{"apiVersion":"daemon.example.com/v1","kind":"Widget",`+
		`"metadata":{"name":"w","namespace":"default"},"spec":{"size":1}}`)
	kubectl(t, "patch", "widget", "w", "--type=merge", "-p", `{"spec":{"size":2}}`)
	r.eventually(t, "the widget's two versions are recorded", func() (bool, string) {
		events := r.events(t, "resourceType=wd")
		return len(events) > 0 && strings.HasSuffix(verbs(events), "update") ||
			verbs(events) == "initial", verbs(events)
	})
	events := r.events(t, "resourceType=widgets.daemon.example.com")
	seen := map[string]bool{}
	for _, e := range events {
		if seen[e.ResourceVersion] || e.APIVersion != "daemon.example.com/v1" {
			t.Errorf("got %s %s of resourceVersion %s in %s twice or not in daemon.example.com/v1, "+
				"want it once in that version",
				e.Verb, e.ResourceName, e.ResourceVersion, e.APIVersion)
		}
		seen[e.ResourceVersion] = true
	}
}

func TestDaemon_WaitsForResourceThatIsNotServed(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) {
		unknown := c.Resources[0]
		unknown.Group, unknown.Plural, unknown.Kind = "missing.example.com", "gadgets", "Gadget"
		c.Resources = append(c.Resources, unknown)
	})
	if _, body := r.get(t, v1.ResourcesPath); !strings.Contains(body, `"gadgets"`) ||
		!strings.Contains(body, `"waiting"`) {
		t.Errorf("got catalogue %s, want gadgets waiting", body)
	}
	r.eventually(t, "namespaces are recorded", func() (bool, string) { // commits are batched
		events := r.events(t, "resourceType=namespaces")
		return len(events) > 0, fmt.Sprint(events)
	})
}
