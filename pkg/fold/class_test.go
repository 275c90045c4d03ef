package fold_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// update is a change of an object: from and to are its members apart from the
// kind. The resource is written as in "deployments.apps".
type update struct {
	name     string
	resource string
	from, to string
	managers string // names, divided by commas; one may have a /subresource
	want     bool   // a consequence
}

const controlled = `"ownerReferences":[{"uid":"u","kind":"ReplicaSet","name":"web-1","controller":true}]`

func TestClassOf_Update(t *testing.T) {
	for _, u := range []update{
		{"spec", "deployments.apps", `"spec":{"replicas":1}`, `"spec":{"replicas":2}`, "helm", false},
		{
			"spec and status", "deployments.apps", `"spec":{"replicas":1},"status":{"a":1}`,
			`"spec":{"replicas":2},"status":{"a":2}`, "helm", false,
		},
		{
			"status", "deployments.apps",
			`"status":{"a":1}`, `"status":{"a":2}`, "kube-controller-manager/status", true,
		},
		{"first status", "deployments.apps", `"spec":{}`, `"spec":{},"status":{"a":2}`, "", true},
		{
			"status by a person", "deployments.apps",
			`"status":{"a":1}`, `"status":{"a":2}`, "kubectl-edit/status", true,
		},
		{"nothing", "deployments.apps", `"spec":{}`, `"spec":{}`, "kubectl", true},
		{
			"generation", "deployments.apps", `"metadata":{"generation":1}`, `"metadata":{"generation":2}`,
			"kubectl", true,
		},
		{"a field like status", "deployments.apps", `"statuses":{"a":1}`, `"statuses":{"a":2}`, "x", false},
		{
			"label", "deployments.apps",
			`"metadata":{"labels":{"a":"1"}}`, `"metadata":{"labels":{"a":"2"}}`, "x", false,
		},
		{"annotation", "deployments.apps", `"metadata":{}`, `"metadata":{"annotations":{"a":"2"}}`, "x", false},
		{
			"revision", "deployments.apps", `"metadata":{}`,
			`"metadata":{"annotations":{"deployment.kubernetes.io/revision":"2"}}`, "x", true,
		},
		{
			"revision among other annotations", "deployments.apps", `"metadata":{"annotations":{"a":"b"}}`,
			`"metadata":{"annotations":{"a":"b","deployment.kubernetes.io/revision":"2"}}`, "x", true,
		},
		{
			"an annotation and the revision", "deployments.apps", `"metadata":{}`,
			`"metadata":{"annotations":{"a":"b","deployment.kubernetes.io/revision":"2"}}`, "x", false,
		},
		{
			"last-applied", "configmaps", `"metadata":{"annotations":{"a":"b"}}`,
			`"metadata":{"annotations":{"a":"b","kubectl.kubernetes.io/last-applied-configuration":"2"}}`, "x", true,
		},
		{
			"a prefix without a slash", "configmaps", `"metadata":{"annotations":{"a":"b"}}`,
			`"metadata":{"annotations":{"a":"b","pv.kubernetes.iox":"2"}}`, "x", false,
		},
		{"finalizers", "things.example.com", `"metadata":{}`, `"metadata":{"finalizers":["a"]}`, "x", true},
		{
			"deletion requested", "services", `"metadata":{}`,
			`"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}`, "", true,
		},
		{"data", "configmaps", `"data":{"a":"1"}`, `"data":{"a":"2"}`, "kubectl-edit", false},
		{"scheduled", "pods", `"spec":{}`, `"spec":{"nodeName":"n"}`, "kube-scheduler", true},
		{"nodeName of another type", "things.example.com", `"spec":{}`, `"spec":{"nodeName":"n"}`, "x", false},
		{"bound claim", "persistentvolumeclaims", `"spec":{}`, `"spec":{"volumeName":"n"}`, "x", true},
		{"resized claim", "persistentvolumeclaims", `"spec":{}`, `"spec":{"resources":{}}`, "x", false},
		{"taint", "nodes", `"spec":{}`, `"spec":{"taints":[{"key":"a"}]}`, "x", false},
		{
			"condition of a node", "nodes", `"status":{"conditions":[{"type":"Ready","status":"True"}]}`,
			`"status":{"conditions":[{"type":"Ready","status":"False"}]}`, "kubelet/status", false,
		},
		{
			"message of a node's condition", "nodes",
			`"status":{"conditions":[{"type":"Ready","status":"True","message":"a"}]}`,
			`"status":{"conditions":[{"type":"Ready","status":"True","message":"b"}]}`, "kubelet/status", true,
		},
		{
			"heartbeat of a node", "nodes",
			`"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"1"}]}`,
			`"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2"}]}`,
			"kubelet/status", true,
		},
		{
			"condition of a pod", "pods", `"status":{"conditions":[{"type":"Ready","status":"True"}]}`,
			`"status":{"conditions":[{"type":"Ready","status":"False"}]}`, "kubelet/status", true,
		},
		{
			"owned", "replicasets.apps", `"metadata":{` + controlled + `},"spec":{"replicas":1}`,
			`"metadata":{` + controlled + `},"spec":{"replicas":2}`, "kube-controller-manager", true,
		},
		{
			"owned, by a person", "replicasets.apps", `"metadata":{` + controlled + `},"spec":{"replicas":1}`,
			`"metadata":{` + controlled + `},"spec":{"replicas":2}`, "kubectl-edit", false,
		},
		{
			"owned, its status by a person", "replicasets.apps",
			`"metadata":{` + controlled + `},"spec":{"replicas":1}`,
			`"metadata":{` + controlled + `},"spec":{"replicas":2}`,
			"kubectl-edit/status,kube-controller-manager", true,
		},
		{
			"owned, debugged by a person", "pods", `"metadata":{` + controlled + `},"spec":{}`,
			`"metadata":{` + controlled + `},"spec":{"ephemeralContainers":[{"name":"a"}]}`,
			"kubectl/ephemeralcontainers", false,
		},
		{
			"owned, scheduled", "pods", `"metadata":{` + controlled + `},"spec":{}`,
			`"metadata":{` + controlled + `},"spec":{"nodeName":"n"}`, "kube-scheduler", true,
		},
		{
			"owned by no controller", "secrets",
			`"metadata":{"ownerReferences":[{"uid":"u","controller":false}]},"data":{}`,
			`"metadata":{"ownerReferences":[{"uid":"u","controller":false}]},"data":{"a":"b"}`, "x", false,
		},
		{"Event", "events", `"count":1`, `"count":2`, "kubectl", true},
		{"Event of the other group", "events.events.k8s.io", `"count":1`, `"count":2`, "x", true},
		{
			"Lease", "leases.coordination.k8s.io",
			`"spec":{"holderIdentity":"a"}`, `"spec":{"holderIdentity":"b"}`, "x", true,
		},
		{"EndpointSlice", "endpointslices.discovery.k8s.io", `"endpoints":[]`, `"endpoints":[{}]`, "x", true},
	} {
		t.Run(u.name, func(t *testing.T) {
			from, to := "{"+u.from+"}", "{"+u.to+"}"
			r := record(u.resource, history.Update, to, u.managers)
			c := summary.Compare([]byte(from), []byte(to))
			if got := fold.ClassOf(r, c) != history.Root; got != u.want {
				t.Errorf("got %t, want %t", got, u.want)
			}
		})
	}
}

// If the previous version is not known, only the owner proves a consequence.
func TestClassOf_WithoutComparison(t *testing.T) {
	for _, c := range []struct {
		name, resource, object, managers string
		verb                             history.Verb
		want                             bool
	}{
		{"created", "deployments.apps", `{"spec":{}}`, "helm", history.Create, false},
		{"deleted", "deployments.apps", `{"spec":{}}`, "", history.Delete, false},
		{"updated", "deployments.apps", `{"spec":{}}`, "", history.Update, false},
		{
			"owned, created", "pods",
			`{"metadata":{` + controlled + `}}`, "kube-controller-manager", history.Create, true,
		},
		{"owned, created by a person", "pods", `{"metadata":{` + controlled + `}}`, "kubectl", history.Create, true},
		{"owned, updated", "pods", `{"metadata":{` + controlled + `}}`, "x", history.Update, true},
		{"owned, deleted", "pods", `{"metadata":{` + controlled + `}}`, "", history.Delete, true},
		{"Event", "events", `{}`, "x", history.Create, true},
		{"CA of a namespace", "configmaps", `{}`, "kube-controller-manager", history.Create, true},
		{"CA of a namespace, deleted", "configmaps", `{}`, "", history.Delete, false},
		{"CA of a namespace, by a person", "configmaps", `{}`, "kubectl", history.Create, false},
		{"ServiceAccount", "serviceaccounts", `{}`, "kube-controller-manager", history.Create, true},
		{"ServiceAccount without a manager", "serviceaccounts", `{}`, "", history.Create, true},
		{"ServiceAccount by a person", "serviceaccounts", `{}`, "kubectl-create", history.Create, false},
		{
			"provisioned volume", "persistentvolumes",
			`{"metadata":{"annotations":{"pv.kubernetes.io/provisioned-by":"csi"}}}`, "csi", history.Create, true,
		},
		{"volume", "persistentvolumes", `{"metadata":{"annotations":{}}}`, "kubectl", history.Create, false},
		{"not an object", "configmaps", `[]`, "x", history.Create, false},
		{
			"owners of a wrong type", "pods",
			`{"metadata":{"ownerReferences":{"controller":true}}}`, "x", history.Create, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(c.resource, c.verb, c.object, c.managers)
			r.Ref.Name = "web"
			switch {
			case strings.HasPrefix(c.name, "CA"):
				r.Ref.Name = "kube-root-ca.crt"
			case c.resource == "serviceaccounts":
				r.Ref.Name = "default"
			}
			if got := fold.ClassOf(r, nil) != history.Root; got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
			r.Initial = true
			if got := fold.ClassOf(r, nil); got != history.Consequence {
				t.Errorf("existed when recording began: got %s, want %s", got, history.Consequence)
			}
		})
	}
}

// record returns a record of an object, which has an owner if it names one.
func record(resource string, verb history.Verb, object, managers string) *history.Record {
	of := schema.ParseGroupResource(resource)
	r := &history.Record{
		Ref:    history.ObjectRef{Group: of.Group, Resource: of.Resource, Namespace: "shop", Name: "web", UID: "uid"},
		Verb:   verb,
		Object: []byte(object),
	}
	if strings.Contains(object, "ownerReferences") {
		r.Owners = []types.UID{"u"}
	}
	for name := range strings.SplitSeq(managers, ",") {
		name, subresource, _ := strings.Cut(name, "/")
		if name != "" {
			r.Managers = append(r.Managers, history.Manager{Name: name, Operation: "Update", Subresource: subresource})
		}
	}
	return r
}

func TestClassOf_Onset(t *testing.T) {
	const (
		starting = `{"status":{"phase":"Pending"}}`
		unready  = `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}]}}`
		ready    = `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`
		crashing = `{"status":{"phase":"Running","containerStatuses":[` +
			`{"name":"app","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}`
		pulling = `{"status":{"phase":"Pending","containerStatuses":[` +
			`{"name":"app","state":{"waiting":{"reason":"ErrImagePull"}}}]}}`
	)
	for _, c := range []struct {
		name, resource, from, to string
		verb                     history.Verb
		want                     history.Class
	}{
		{"a crash begins", "pods", ready, crashing, history.Update, history.Onset},
		{"a crash goes on", "pods", pulling, crashing, history.Update, history.Consequence},
		{"a crash ends", "pods", crashing, ready, history.Update, history.Consequence},
		{"a crash after the start", "pods", starting, pulling, history.Update, history.Onset},
		{"not ready yet", "pods", starting, unready, history.Update, history.Consequence},
		{"not ready any more", "pods", ready, unready, history.Update, history.Onset},
		{"the previous version is not known", "pods", "", crashing, history.Update, history.Root},
		{"deleted with a problem", "pods", "", crashing, history.Delete, history.Root},
		{"a Warning", "events", "", `{"type":"Warning","reason":"BackOff"}`, history.Create, history.Onset},
		{
			"a repeated Warning", "events", "",
			`{"type":"Warning","reason":"BackOff"}`, history.Update, history.Consequence,
		},
		{"a normal Event", "events", "", `{"type":"Normal","reason":"Pulled"}`, history.Create, history.Consequence},
		{
			"a node", "nodes", `{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`,
			`{"status":{"conditions":[{"type":"Ready","status":"Unknown"}]}}`, history.Update, history.Root,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record(c.resource, c.verb, c.to, "kubelet/status")
			var comparison *summary.Comparison
			if c.from != "" {
				comparison = summary.Compare([]byte(c.from), []byte(c.to))
			}
			text := summary.Of(r, comparison)
			r.Summary = &text
			if got := fold.ClassOf(r, comparison); got != c.want {
				t.Errorf("got %s, want %s (problem %q)", got, c.want, text.Problem)
			}
			r.Initial = true
			if got := fold.ClassOf(r, comparison); got != history.Consequence {
				t.Errorf("existed when recording began: got %s, want %s", got, history.Consequence)
			}
		})
	}
}

func FuzzClassOf(f *testing.F) {
	f.Add(`{"spec":1}`, uint8(2))
	f.Add(`{"metadata":{`+controlled+`}}`, uint8(1))
	f.Add(`{"metadata":{"ownerReferences":[[]],"annotations":null}}`, uint8(3))
	f.Fuzz(func(t *testing.T, to string, verb uint8) {
		r := record("nodes", history.Verb(verb%3+1), to, "kubectl")
		got := fold.ClassOf(r, nil)
		if again := fold.ClassOf(r, nil); got != again {
			t.Errorf("got %s and %s for the same version", got, again)
		}
		r.Owners = nil
		if got := fold.ClassOf(r, nil); r.Verb == history.Delete && got != history.Root {
			t.Errorf("deletion of an object without owners: got %s, want %s", got, history.Root)
		}
	})
}
