package daemon_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// grantAtRandom gives rights to a caller: by Roles and ClusterRoles, on
// resources, names and everything, in a namespace and in the cluster.
func grantAtRandom(t *testing.T, rng *rand.Rand, c *caller) {
	t.Helper()
	rbac := kubernetes.NewForConfigOrDie(cluster.Config()).RbacV1()
	for n := range rng.IntN(4) {
		name := fmt.Sprintf("%s-%d", strings.ReplaceAll(c.user, ":", "-"), n)
		meta := metav1.ObjectMeta{Name: name}
		rule := randomRule(rng)
		namespace := worldNamespaces[rng.IntN(len(worldNamespaces))]
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
		where, err := namespace, error(nil)
		kind := rng.IntN(5)
		if kind == 0 {
			ref.Kind = "Role"
			_, err = rbac.Roles(namespace).Create(t.Context(),
				&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
		} else {
			role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule}}
			if kind == 1 { // the controller manager would copy the rule from other roles
				role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
					{MatchLabels: map[string]string{"aggregate-to": name}},
				}}
			}
			_, err = rbac.ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind == 4 {
			where = "the cluster"
			_, err = rbac.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{c.subject},
			}, metav1.CreateOptions{})
		} else {
			_, err = rbac.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
				ObjectMeta: meta, RoleRef: ref, Subjects: []rbacv1.Subject{c.subject},
			}, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		c.grants = append(c.grants,
			fmt.Sprintf("%v %v %v in %s", rule.Verbs, rule.Resources, rule.ResourceNames, where))
	}
}

// randomRule returns a rule about some resources, some of their names, or
// everything.
func randomRule(rng *rand.Rand) rbacv1.PolicyRule {
	verbs := [][]string{{"list"}, {"get"}, {"get", "list"}, {"*"}}[rng.IntN(4)]
	if rng.IntN(6) == 0 {
		return rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: verbs}
	}
	rule := rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{"", "apps"}, Resources: []string{"events"}}
	for range 1 + rng.IntN(3) {
		of := worldResources[rng.IntN(len(worldResources))]
		rule.Resources = append(rule.Resources, of.Resource)
		if names := rng.IntN(3) == 0; names {
			for _, namespace := range worldNamespaces {
				rule.ResourceNames = append(rule.ResourceNames, "mk-"+of.Resource+"-"+namespace+"-1")
			}
		}
	}
	if rng.IntN(2) == 0 {
		rule.Resources = append(rule.Resources, "nodes", "namespaces")
	}
	return rule
}

// awaitGrants waits until the API server decides by all roles and bindings that
// were created. Each kind of them arrives in order.
func awaitGrants(t *testing.T, round int) {
	t.Helper()
	user := fmt.Sprint("sentinel-", round)
	kubectl(t, "create", "role", user, "-n", "alpha", "--verb=get", "--resource=pods")
	kubectl(t, "create", "rolebinding", user, "-n", "alpha", "--role="+user, "--user="+user)
	kubectl(t, "create", "clusterrole", user, "--verb=get", "--resource=nodes")
	kubectl(t, "create", "clusterrolebinding", user, "--clusterrole="+user, "--user="+user)
	sentinel := &caller{user: user, cluster: cluster.Client(t)}
	for _, a := range []authorizationv1.ResourceAttributes{
		{Verb: "get", Resource: "pods", Namespace: "alpha"}, {Verb: "get", Resource: "nodes"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for !sentinel.review(t, a) {
			if ctx.Err() != nil {
				t.Fatalf("got no right %+v within %v, want it", a, patience)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}
}
