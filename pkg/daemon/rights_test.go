package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// readers are service accounts of the namespace readers, with the arguments of
// the kubectl commands that grant their rights.
var readers = map[string][]string{
	"admin": {"clusterrolebinding admin --clusterrole=cluster-admin"},
	"one":   {"rolebinding one -n shop --clusterrole=viewer"},
	"several": {
		"rolebinding several -n shop --clusterrole=cluster-admin", "rolebinding several -n bank --clusterrole=viewer",
	},
	"maps": {"role maps -n shop --verb=list --resource=configmaps", "rolebinding maps -n shop --role=maps"},
	"name": {
		"role name -n bank --verb=get --resource=secrets --resource-name=pin", "rolebinding name -n bank --role=name",
	},
	"lists": {"clusterrole lists --verb=list --resource=secrets", "clusterrolebinding lists --clusterrole=lists"},
	"none":  nil,
}

// TestDaemon_ShowsEachCallerWhatTheyMayRead compares the answers to callers
// with various rights with those to an administrator, and with the decisions of
// the API server.
func TestDaemon_ShowsEachCallerWhatTheyMayRead(t *testing.T) {
	noLeaks(t)
	ownCluster(t)
	kubectl(t, "create", "namespace", "readers")
	createViewer(t)
	for _, namespace := range []string{"shop", "bank"} {
		kubectl(t, "create", "namespace", namespace)
		kubectl(t, "create", "configmap", "settings", "-n", namespace, "--from-literal=in="+namespace)
		kubectl(t, "create", "secret", "generic", "pin", "-n", namespace, "--from-literal=pin=123456")
		kubectl(t, "create", "secret", "generic", "other", "-n", namespace, "--from-literal=pin=123456")
		kubectl(t, "create", "deployment", "web", "-n", namespace, "--image=web:1")
	}
	tokens := map[string]string{}
	for name, grants := range readers {
		token, err := cluster.Token(t.Context(), "readers", name)
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = token
		for _, grant := range grants {
			args := append([]string{"create"}, strings.Fields(grant)...)
			if strings.Contains(grant, "binding") {
				args = append(args, "--serviceaccount=readers:"+name)
			}
			kubectl(t, args...)
		}
	}
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	client := secureClient(t, r.authorities())
	get := func(path, reader string) answer {
		t.Helper()
		return fetch(t, client, "https://"+r.secure+path, tokens[reader])
	}
	r.eventually(t, "the objects are recorded", func() (bool, string) {
		got := get(v1.EventsPath+"?resourceType=deployments,configmaps,secrets&empty=200", "admin")
		return strings.Count(got.body, `"web"`) >= 2 && strings.Count(got.body, `"pin"`) >= 2, got.body
	})
	rights := newRights(t)
	for _, path := range []string{
		v1.EventsPath + "?empty=200",
		v1.EventsPath + "?empty=200&namespace=shop",
		v1.EventsPath + "?empty=200&namespace=bank&resourceType=secrets&order=desc&limit=1",
		v1.EventsPath + "?empty=200&namespace=-",
		v1.EventsPath + "?empty=200&resourceName=pin",
		v1.EventsPath + "?empty=200&namespace=bank&resourceName=pin",
		v1.EventsPath + "?empty=200&resourceType=cm,deploy&limit=1",
		v1.EventsPath + "/bank/secrets/pin?empty=200",
		v1.EventsPath + "/shop/deployments/web?empty=200&descendants=true",
		v1.EventsPath + "/-/namespaces/shop?empty=200",
	} {
		everything := get(path, "admin")
		for reader := range readers {
			rights.check(t, path, reader, everything, get(path, reader))
		}
	}
	for reader := range readers {
		checkCatalogue(t, rights, reader, get(v1.ResourcesPath, reader))
	}
	got := get(v1.EventsPath+"/bank/secrets/pin?empty=200", "lists").body
	if !strings.Contains(got, "hmac-sha256:hidden") {
		t.Errorf("a Secret for a caller who may only list: got %s, want hidden hashes", got)
	}
	if got := get(v1.EventsPath+"/bank/secrets/pin?empty=200", "name").body; strings.Contains(got, "hidden") {
		t.Errorf("a Secret for a caller who may get it: got %s, want its hashes", got)
	}
	r.stop(t)
}

// createViewer creates the ClusterRole viewer, unless it exists. The rules of
// the role view are missing in the test cluster: a controller would add them.
func createViewer(t *testing.T) {
	t.Helper()
	if kubectl(t, "get", "clusterrole", "viewer", "--ignore-not-found", "-o", "name") == "" {
		kubectl(t, "create", "clusterrole", "viewer", "--verb=get,list,watch",
			"--resource=configmaps,events,pods,deployments.apps,replicasets.apps")
	}
}

// reviews asks the API server for the rights of readers, and keeps its answers.
type reviews struct {
	client  kubernetes.Interface
	decided map[string]bool
}

func newRights(t *testing.T) *reviews {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &reviews{client, map[string]bool{}}
}

// may reports whether the API server allows a reader something.
func (r *reviews) may(t *testing.T, reader string, a authorizationv1.ResourceAttributes) bool {
	t.Helper()
	question := fmt.Sprintf("%s %+v", reader, a)
	allowed, known := r.decided[question]
	if !known {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:readers:" + reader,
			Groups: []string{
				"system:serviceaccounts", "system:serviceaccounts:readers", "system:authenticated",
			},
			ResourceAttributes: &a,
		}}
		answer, err := r.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(),
			review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		allowed = answer.Status.Allowed
		r.decided[question] = allowed
	}
	return allowed
}

// mayRead reports whether a reader may list the resource of an event in its
// namespace or, if the question names the object, get it.
func (r *reviews) mayRead(t *testing.T, reader string, e *v1.Event, named bool) bool {
	t.Helper()
	a := authorizationv1.ResourceAttributes{
		Verb: "list", Group: e.Group, Version: "*", Resource: e.ResourceType, Namespace: e.Namespace,
	}
	if r.may(t, reader, a) {
		return true
	}
	a.Verb, a.Name = "get", e.ResourceName
	if e.ResourceType == "namespaces" {
		a.Namespace = e.ResourceName
	}
	return named && r.may(t, reader, a)
}

// check compares an answer with the answer to an administrator: it must have
// exactly the events that the reader may read.
func (r *reviews) check(t *testing.T, path, reader string, everything, got answer) {
	t.Helper()
	if got.StatusCode != http.StatusOK {
		t.Errorf("%s as %s: got %s %s, want 200", path, reader, got.Status, got.body)
		return
	}
	if strings.Contains(path, "limit=1") && reader != "admin" {
		// A page of one event: its total must not count others.
		all := got.Header.Get(v1.TotalCountHeader)
		if events := eventsOf(t, got.body); len(events) == 0 && all != "0" {
			t.Errorf("%s as %s: got no event of %s, want a total of 0", path, reader, all)
		}
		for _, e := range eventsOf(t, got.body) {
			if !r.mayRead(t, reader, &e, strings.Contains(path, "resourceName=")) {
				t.Errorf("%s as %s: got %s %s/%s, want nothing of it",
					path, reader, e.ResourceType, e.Namespace, e.ResourceName)
			}
		}
		return
	}
	object := strings.Contains(path, "/secrets/") || strings.Contains(path, "/deployments/") ||
		strings.Contains(path, "/namespaces/")
	want := []string{}
	for _, e := range eventsOf(t, everything.body) {
		named := strings.Contains(path, "resourceName=") || object && e.Kind != "Event"
		if r.mayRead(t, reader, &e, named) {
			want = append(want, identity(&e))
		}
	}
	found := []string{}
	for _, e := range eventsOf(t, got.body) {
		found = append(found, identity(&e))
	}
	// More may have been recorded since the administrator asked.
	if missing := slices.DeleteFunc(want, func(id string) bool {
		return slices.Contains(found, id)
	}); len(missing) > 0 {
		t.Errorf("%s as %s: got %d events without %v, want all that the reader may read",
			path, reader, len(found), missing)
	}
	for _, e := range eventsOf(t, got.body) {
		if !r.mayRead(t, reader, &e, strings.Contains(path, "resourceName=") || object && e.Kind != "Event") {
			t.Errorf("%s as %s: got %s %s/%s, want nothing of it",
				path, reader, e.ResourceType, e.Namespace, e.ResourceName)
		}
	}
}

// identity returns a text that identifies a version.
func identity(e *v1.Event) string {
	return e.ResourceType + " " + e.Namespace + "/" + e.ResourceName + " " + e.UID + " " + e.ResourceVersion
}

// eventsOf returns the events of an answer, which is a list or the history of
// an object.
func eventsOf(t *testing.T, body string) []v1.Event {
	t.Helper()
	var events []v1.Event
	if strings.HasPrefix(body, "[") {
		if err := json.Unmarshal([]byte(body), &events); err != nil {
			t.Fatal(err)
		}
		return events
	}
	var h v1.ObjectHistory
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(h.WatchEvents, h.RelatedEvents)
}

// checkCatalogue checks that a reader sees the resources that they may list
// somewhere.
func checkCatalogue(t *testing.T, r *reviews, reader string, got answer) {
	t.Helper()
	var list v1.ResourceList
	if err := json.Unmarshal([]byte(got.body), &list); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, resource := range list.Resources {
		seen[resource.Plural] = true
		allowed := false
		for _, namespace := range []string{"", "shop", "bank", "readers", "default"} {
			allowed = allowed || r.may(t, reader, authorizationv1.ResourceAttributes{
				Verb: "list", Group: resource.Group, Version: "*", Resource: resource.Plural, Namespace: namespace,
			})
		}
		if !allowed {
			t.Errorf("catalogue as %s: got %s, want nothing of it", reader, resource.Plural)
		}
	}
	for plural, want := range map[string]bool{
		"configmaps": slices.Contains([]string{"admin", "one", "several", "maps"}, reader),
		"nodes":      reader == "admin",
	} {
		if seen[plural] != want {
			t.Errorf("catalogue as %s: got %s: %t, want %t", reader, plural, seen[plural], want)
		}
	}
}
