package manifests_test

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// asRecorder is the configuration of somebody who has the service account's rights and no others.
func asRecorder() *rest.Config {
	config := cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return config
}

func TestRoleSufficesForEveryDefaultAndForCRDs(t *testing.T) {
	installed(t)
	kubectl(t, "apply", "-f", "testdata/crd.yaml")
	kubectl(t, "wait", "--for=condition=Established", "crd/lamps.house.example.com", "--timeout=30s")
	client, err := dynamic.NewForConfig(asRecorder())
	if err != nil {
		t.Fatal(err)
	}
	resources := []schema.GroupVersionResource{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		{Group: "house.example.com", Version: "v1", Resource: "lamps"},
	}
	for _, r := range daemon.DefaultConfig().Resources {
		resources = append(resources, r.GroupResource().WithVersion(r.Version))
	}
	if len(resources) != 2+17 {
		t.Errorf("%d resources", len(resources))
	}
	for _, r := range resources {
		list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Errorf("list: %v", err)
			continue
		}
		watch, err := client.Resource(r).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		if err != nil {
			t.Errorf("watch: %v", err)
			continue
		}
		watch.Stop()
	}
}

func TestRoleSufficesForDiscovery(t *testing.T) {
	installed(t)
	client, err := kubernetes.NewForConfig(asRecorder())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Discovery().ServerGroupsAndResources(); err != nil {
		t.Error(err)
	}
}

// A get on every resource would be among these: it opens exec and the node's proxy.
func TestRoleGrantsNothingElse(t *testing.T) {
	installed(t)
	user := asRecorder().Impersonate
	denied := map[string][]authorizationv1.ResourceAttributes{
		"write": {
			{Verb: "create", Resource: "pods"},
			{Verb: "update", Resource: "configmaps"},
			{Verb: "patch", Group: "apps", Resource: "deployments"},
			{Verb: "delete", Resource: "pods"},
			{Verb: "deletecollection", Resource: "secrets"},
			{Verb: "create", Resource: "events"},
			{Verb: "update", Resource: "pods", Subresource: "status"},
		},
		"run something": {
			{Verb: "create", Resource: "pods", Subresource: "exec"},
			{Verb: "get", Resource: "pods", Subresource: "exec"},
			{Verb: "get", Resource: "pods", Subresource: "attach"},
			{Verb: "get", Resource: "pods", Subresource: "portforward"},
			{Verb: "get", Resource: "pods", Subresource: "log"},
			{Verb: "get", Resource: "nodes", Subresource: "proxy"},
			{Verb: "get", Resource: "services", Subresource: "proxy"},
		},
		"become somebody": {
			{Verb: "impersonate", Resource: "users"},
			{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
			{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
			{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		},
	}
	for what, attributes := range denied {
		for _, a := range attributes {
			if allowed(t, user.UserName, user.Groups, a) {
				t.Errorf("the recorder may %s: %s %s/%s", what, a.Verb, a.Resource, a.Subresource)
			}
		}
	}
	if a := (authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods"}); !allowed(t, user.UserName, user.Groups, a) {
		t.Error("the question is put wrongly: the recorder may not even list pods")
	}
}

func TestServerRefusesTheRecordersWrites(t *testing.T) {
	installed(t)
	client, err := kubernetes.NewForConfig(asRecorder())
	if err != nil {
		t.Fatal(err)
	}
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}
	_, err = client.CoreV1().ConfigMaps(namespace).Create(t.Context(), configMap, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("creating a ConfigMap: %v, want it forbidden", err)
	}
}

func TestClientRoleReachesTheRecorderOnly(t *testing.T) {
	installed(t)
	groups := []string{"watchhistory-readers", "system:authenticated"}
	for _, a := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "services", Name: name},
		{Verb: "list", Resource: "pods"},
		{Verb: "get", Resource: "pods", Subresource: "portforward"},
		{Verb: "create", Resource: "pods", Subresource: "portforward"},
	} {
		a.Namespace = namespace
		if !allowed(t, "jane", groups, a) {
			t.Errorf("a reader may not %s %s/%s", a.Verb, a.Resource, a.Subresource)
		}
		a.Namespace = "default"
		if allowed(t, "jane", groups, a) {
			t.Errorf("a reader may %s %s/%s elsewhere", a.Verb, a.Resource, a.Subresource)
		}
	}
	for _, resource := range []string{"secrets", "configmaps"} {
		if allowed(t, "jane", groups, authorizationv1.ResourceAttributes{Verb: "get", Resource: resource, Namespace: namespace}) {
			t.Errorf("a reader may get %s", resource)
		}
	}
}

// allowed asks the server whether a user may do something.
func allowed(t *testing.T, user string, groups []string, what authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &what},
	}
	answer, err := client(t).AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
