package access_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

func TestGate_Impersonates(t *testing.T) {
	s := serve(t, recorder(t))
	const identity = "authentication.k8s.io"
	grant(t, "boss",
		rule("", "users", "impersonate", "alice", "system:anonymous"), rule("", "groups", "impersonate", "dev"),
		rule("", "serviceaccounts", "impersonate", "robot"),
		rule(identity, "uids", "impersonate", "u-1"), rule(identity, "userextras/scopes", "impersonate", "view"))
	boss := certificate(t, clustertest.ClientCA, "boss")
	for name, tt := range map[string]struct {
		headers map[string][]string
		status  int
		want    string
	}{
		"user":           {map[string][]string{"Impersonate-User": {"alice"}}, 200, "alice"},
		"anonymous user": {map[string][]string{"Impersonate-User": {"system:anonymous"}}, 200, "system:anonymous"},
		"service account": {
			map[string][]string{"Impersonate-User": {"system:serviceaccount:default:robot"}}, 200, "default:robot",
		},
		"all of a user": {map[string][]string{
			"Impersonate-User": {"alice"}, "Impersonate-Group": {"dev"}, "Impersonate-Uid": {"u-1"},
			"Impersonate-Extra-Scopes": {"view"},
		}, 200, "alice"},
		"another user": {
			map[string][]string{"Impersonate-User": {"mallory"}}, 403, `user "boss" may not impersonate user "mallory"`,
		},
		"another service account": {
			map[string][]string{"Impersonate-User": {"system:serviceaccount:default:other"}},
			403,
			`may not impersonate serviceaccount "default/other"`,
		},
		"administrators": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Group": {"dev", "system:masters"}},
			403,
			`may not impersonate group "system:masters"`,
		},
		"another UID": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Uid": {"u-2"}},
			403, `may not impersonate uid "u-2"`,
		},
		"another extra value": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Extra-Scopes": {"view", "edit"}},
			403,
			`may not impersonate userextra/"scopes" "edit"`,
		},
		"a name of several lines": {
			map[string][]string{"Impersonate-User": {"alice"}, "Impersonate-Extra-A%0ab": {"x"}},
			403, `userextra/"a\nb" "x"`,
		},
		"only a group": {map[string][]string{"Impersonate-Group": {"dev"}}, 400, "impersonation without a user"},
		"only a UID":   {map[string][]string{"Impersonate-Uid": {"u-1"}}, 400, "impersonation without a user"},
		"only extra": {
			map[string][]string{"Impersonate-Extra-Scopes": {"view"}}, 400, "impersonation without a user",
		},
		"too many": {
			map[string][]string{
				"Impersonate-User": {"alice"}, "Impersonate-Group": strings.Split(strings.Repeat("dev ", 65), " "),
			},
			400, "want at most 64",
		},
	} {
		s.expect(t, name, request{certificate: boss, headers: tt.headers}, tt.status, tt.want)
	}
	s.expect(t, "without identity", request{headers: map[string][]string{"Impersonate-User": {"alice"}}},
		401, "not authenticated")
}

// TestGate_ImpersonatedUserHasOwnRights checks that the answer is for the
// impersonated user, in both directions.
func TestGate_ImpersonatedUserHasOwnRights(t *testing.T) {
	s := serve(t, recorder(t))
	root := certificate(t, clustertest.ClientCA, "root", "system:masters")
	grant(t, "fred", rule("", "nodes", "list"))
	for name, tt := range map[string]struct {
		headers     map[string][]string
		nodes, pods string
	}{
		"nothing": {nil, "true", "true"},
		"user":    {map[string][]string{"Impersonate-User": {"fred"}}, "true", "false"},
		"another": {map[string][]string{"Impersonate-User": {"gina"}}, "false", "false"},
		"group": {
			map[string][]string{"Impersonate-User": {"gina"}, "Impersonate-Group": {"system:masters"}}, "true", "true",
		},
		"account": {map[string][]string{"Impersonate-User": {"system:serviceaccount:default:x"}}, "false", "false"},
	} {
		caller := s.admit(t, request{certificate: root, headers: tt.headers})
		if got := decision(caller.List(t.Context(), nodes, history.ClusterScoped)); got != tt.nodes {
			t.Errorf("%s: list nodes: got %s, want %s", name, got, tt.nodes)
		}
		if got := decision(caller.List(t.Context(), pods, history.AllNamespaces)); got != tt.pods {
			t.Errorf("%s: list pods: got %s, want %s", name, got, tt.pods)
		}
	}
}

// TestGate_AddsGroupsOfCluster checks the groups that the API server gives to
// users automatically, by granting a right to each of them.
func TestGate_AddsGroupsOfCluster(t *testing.T) {
	s := serve(t, recorder(t))
	c := cluster.Client(t).RbacV1().ClusterRoles()
	rights := map[string]schema.GroupResource{}
	for i, group := range []string{"system:authenticated", "system:unauthenticated", "system:serviceaccounts:default"} {
		name := fmt.Sprintf("added-group-%d", i)
		rights[group] = schema.GroupResource{Group: "groups.example.com", Resource: name}
		role := &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Rules:      []rbacv1.PolicyRule{rule("groups.example.com", name, "list")},
		}
		if _, err := c.Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
		bind(t, name, name, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: group})
		eventually(t, "member", &authorizationv1.SubjectAccessReviewSpec{
			Groups: []string{group},
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: "groups.example.com", Resource: name, Verb: "list",
			},
		}, true)
	}
	root := certificate(t, clustertest.ClientCA, "root", "system:masters")
	for name, tt := range map[string]struct {
		request
		want string
	}{
		"certificate": {request{certificate: certificate(t, clustertest.ClientCA, "alice")}, "system:authenticated"},
		"front proxy": {request{
			certificate: certificate(t, clustertest.FrontProxyCA, clustertest.FrontProxy),
			headers:     map[string][]string{"X-Remote-User": {"x"}},
		}, "system:authenticated"},
		"token": {
			request{token: token(t, "reader")}, "system:authenticated system:serviceaccounts:default",
		},
		"impersonated user": {request{certificate: root, headers: asUser("alice")}, "system:authenticated"},
		"impersonated account": {
			request{certificate: root, headers: asUser("system:serviceaccount:default:x")},
			"system:authenticated system:serviceaccounts:default",
		},
		"impersonated anonymous": {
			request{certificate: root, headers: asUser("system:anonymous")}, "system:unauthenticated",
		},
		"impersonated group": {
			request{certificate: root, headers: map[string][]string{
				"Impersonate-User": {"alice"}, "Impersonate-Group": {"system:unauthenticated"},
			}}, "system:unauthenticated",
		},
	} {
		caller := s.admit(t, tt.request)
		var got []string
		for _, group := range slices.Sorted(maps.Keys(rights)) {
			if decision(caller.List(t.Context(), rights[group], history.AllNamespaces)) == "true" {
				got = append(got, group)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got groups %v, want %s", name, got, tt.want)
		}
	}
}

// asUser returns the headers that impersonate a user.
func asUser(user string) map[string][]string { return map[string][]string{"Impersonate-User": {user}} }
