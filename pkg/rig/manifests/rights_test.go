package manifests_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// asRecorder returns a client configuration with the rights of the recorder's
// service account.
func asRecorder() *rest.Config {
	config := cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return config
}

func TestRole_PermitsListAndWatchOfDefaultsAndCRDs(t *testing.T) {
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
	if got, want := len(resources), 2+17; got != want {
		t.Errorf("got %d resources, want %d", got, want)
	}
	for _, r := range resources {
		list, err := client.Resource(r).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Errorf("list %s: got error %v, want none", r.Resource, err)
			continue
		}
		watch, err := client.Resource(r).Watch(t.Context(),
			metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
		if err != nil {
			t.Errorf("watch %s: got error %v, want none", r.Resource, err)
			continue
		}
		watch.Stop()
	}
}

func TestRole_PermitsDiscovery(t *testing.T) {
	installed(t)
	client, err := kubernetes.NewForConfig(asRecorder())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.Discovery().ServerGroupsAndResources(); err != nil {
		t.Errorf("discovery: got error %v, want none", err)
	}
	for _, path := range []string{"/version", "/openapi/v3", "/openapi/v3/apis/apps/v1"} {
		if err := client.Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); err != nil {
			t.Errorf("get %s: got error %v, want none", path, err)
		}
	}
}

// TestRole_PermitsNothingElse includes get: on all resources, it would permit
// exec and the proxy of nodes.
func TestRole_PermitsNothingElse(t *testing.T) {
	installed(t)
	user := asRecorder().Impersonate
	denied := map[string][]authorizationv1.ResourceAttributes{
		"write": {
			{Verb: "create", Resource: "pods"},
			{Verb: "create", Resource: "configmaps", Namespace: "default"},
			{Verb: "update", Resource: "configmaps", Namespace: namespace},
			{Verb: "patch", Resource: "configmaps", Namespace: namespace, Name: authorities},
			{Verb: "delete", Resource: "configmaps", Namespace: namespace, Name: authorities},
			{Verb: "update", Resource: "configmaps", Namespace: "default", Name: authorities},
			{
				Verb: "update", Resource: "configmaps",
				Namespace: "kube-system", Name: "extension-apiserver-authentication",
			},
			{Verb: "patch", Group: "apps", Resource: "deployments"},
			{Verb: "delete", Resource: "pods"},
			{Verb: "deletecollection", Resource: "secrets"},
			{Verb: "create", Resource: "events"},
			{Verb: "update", Resource: "pods", Subresource: "status"},
		},
		"run a process": {
			{Verb: "create", Resource: "pods", Subresource: "exec"},
			{Verb: "get", Resource: "pods", Subresource: "exec"},
			{Verb: "get", Resource: "pods", Subresource: "attach"},
			{Verb: "get", Resource: "pods", Subresource: "portforward"},
			{Verb: "get", Resource: "pods", Subresource: "log"},
			{Verb: "get", Resource: "nodes", Subresource: "proxy"},
			{Verb: "get", Resource: "services", Subresource: "proxy"},
		},
		"get": {
			{Verb: "get", Resource: "secrets", Namespace: namespace},
			{Verb: "get", Resource: "configmaps", Namespace: namespace},
			{Verb: "get", Resource: "configmaps", Namespace: "kube-system", Name: "kube-root-ca.crt"},
			{Verb: "get", Resource: "namespaces"},
		},
		"become another user": {
			{Verb: "impersonate", Resource: "users"},
			{Verb: "create", Resource: "serviceaccounts", Subresource: "token"},
			{Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
			{Verb: "escalate", Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		},
	}
	for what, attributes := range denied {
		for _, a := range attributes {
			if allowed(t, user.UserName, user.Groups, a) {
				t.Errorf("%s: got permission to %s %s/%s, want none", what, a.Verb, a.Resource, a.Subresource)
			}
		}
	}
	a := authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods"}
	if !allowed(t, user.UserName, user.Groups, a) {
		t.Error("list pods: got no permission, want one")
	}
}

// authorities is the ConfigMap of the recorder's certificate authorities.
const authorities = name + "-ca"

// TestRoles_GrantExactly compares all rights of the recorder, in its namespace
// and in another one, with those that it needs.
func TestRoles_GrantExactly(t *testing.T) {
	installed(t)
	client, err := kubernetes.NewForConfig(asRecorder())
	if err != nil {
		t.Fatal(err)
	}
	common := []string{
		"*.* [] list,watch",
		"configmaps. [extension-apiserver-authentication] get",
		"subjectaccessreviews.authorization.k8s.io [] create",
		"tokenreviews.authentication.k8s.io [] create",
	}
	for where, want := range map[string][]string{
		"default": common,
		namespace: append([]string{"configmaps. [] create", "configmaps. [" + authorities + "] get,update"}, common...),
	} {
		review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
			&authorizationv1.SelfSubjectRulesReview{
				Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: where},
			}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range review.Status.ResourceRules {
			if strings.HasPrefix(r.Resources[0], "selfsubject") || r.Resources[0] == "clustertrustbundles" {
				continue // every service account has it
			}
			slices.Sort(r.Verbs)
			got = append(got, fmt.Sprintf("%s.%s %v %s", strings.Join(r.Resources, ","),
				strings.Join(r.APIGroups, ","), r.ResourceNames, strings.Join(r.Verbs, ",")))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got rights\n%s\nwant\n%s", where, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestClientRole_PermitsOnlyPortForwardToRecorder(t *testing.T) {
	installed(t)
	groups := []string{"watchhistory-readers", "system:authenticated"}
	for _, a := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "services", Name: name},
		{Verb: "list", Resource: "pods"},
		{Verb: "get", Resource: "pods", Subresource: "portforward"},
		{Verb: "create", Resource: "pods", Subresource: "portforward"},
		{Verb: "get", Resource: "configmaps", Name: authorities},
	} {
		a.Namespace = namespace
		if !allowed(t, "jane", groups, a) {
			t.Errorf("%s %s/%s in %s: got no permission, want one", a.Verb, a.Resource, a.Subresource, namespace)
		}
		a.Namespace = "default"
		if allowed(t, "jane", groups, a) {
			t.Errorf("%s %s/%s in default: got permission, want none", a.Verb, a.Resource, a.Subresource)
		}
	}
	for _, resource := range []string{"secrets", "configmaps"} {
		if allowed(t, "jane", groups, authorizationv1.ResourceAttributes{
			Verb: "get", Resource: resource, Namespace: namespace,
		}) {
			t.Errorf("get %s: got permission, want none", resource)
		}
	}
}

// allowed reports whether the API server permits something to a user.
func allowed(t *testing.T, user string, groups []string, what authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &what},
	}
	answer, err := cluster.Client(t).AuthorizationV1().SubjectAccessReviews().Create(t.Context(),
		review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}
