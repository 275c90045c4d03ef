package watcher_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// allowIn permits a user to list and watch these resources of the core group in
// one namespace.
func (l *lab) allowIn(t *testing.T, user, namespace string, plurals ...string) {
	t.Helper()
	_, err := l.kube.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: plurals, Verbs: []string{"list", "watch"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.kube.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Subjects:   []rbacv1.Subject{{Kind: "User", Name: user}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// A user may list and watch some kinds in one namespace only. Their changes
// arrive, also those that happen while the connection is cut. Everything else
// is refused.
func (l *lab) testOneNamespace(t *testing.T) {
	t.Helper()
	connection := &clientConn{}
	cfg, user := l.unprivileged(t, connection)
	own := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	other := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	l.allowIn(t, user, own.namespace, "configmaps", "pods")
	own.put("before")
	other.put("before")
	w := runSetIn(t, cfg, own.namespace, watcher.Targets{
		Resources:    named("configmaps", "secrets", "nodes"),
		DiscoverCRDs: true, DiscoverAll: true,
	}, map[string]*fakeSink{})
	w.reaches(t, "configmaps", watcher.Watching)
	w.reaches(t, "pods", watcher.Watching)
	for _, gr := range []string{"secrets", "nodes", "services", "deployments.apps"} {
		eventually(t, "a refusal of "+gr, func() bool {
			s, ok := w.state(gr)
			return ok && s.State == watcher.Waiting && s.Refused && s.Reason == history.GapForbidden
		})
	}
	for i := range 40 {
		own.put(fmt.Sprint("a", i%7))
		other.put(fmt.Sprint("a", i%7))
		switch {
		case i == 20:
			connection.cut()
		case i%7 == 6:
			own.remove(fmt.Sprint("a", i%5))
			own.put(fmt.Sprint("a", i%5))
		}
	}
	for _, name := range []string{"before", "a0", "a1", "a2", "a3", "a4", "a5", "a6"} {
		want := own.of(name)
		eventually(t, name, func() bool { return len(w.calls("configmaps", own.namespace+"/"+name)) >= len(want) })
		if got := w.calls("configmaps", own.namespace+"/"+name); !slices.Equal(got, want) {
			t.Errorf("versions of %s\n got %q\nwant %q", name, got, want)
		}
		if got := w.calls("configmaps", other.namespace+"/"+name); len(got) > 0 {
			t.Errorf("versions of %s in another namespace: got %q, want none", name, got)
		}
	}
	if n := w.begins("configmaps"); n != 1 {
		t.Errorf("lists of configmaps: got %d, want 1", n)
	}
	if got := w.opens("secrets"); len(got) != 1 || w.begins("secrets") != 0 {
		t.Errorf("sinks of secrets: got %v and %d lists, want one without a list", got, w.begins("secrets"))
	}
}

// If a watch can't resume, only the namespace is listed again. Cluster-scoped
// objects are watched as without a namespace.
func (l *lab) testOneNamespaceIsListedAgain(t *testing.T) {
	t.Helper()
	own := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	other := &truth{t: t, kube: l.kube, namespace: l.namespace(t)}
	own.put("a")
	other.put("a")
	connection := &clientConn{}
	sink := &fakeSink{checkpoint: "unusable"}
	w := runSetIn(t, l.config(t, connection), own.namespace,
		watcher.Targets{Resources: named("configmaps", "nodes")}, map[string]*fakeSink{"configmaps": sink})
	w.reaches(t, "configmaps", watcher.Watching)
	w.reaches(t, "nodes", watcher.Watching)
	if got, want := w.calls("configmaps", own.namespace+"/a"), own.of("a"); !slices.Equal(got, want) {
		t.Errorf("versions of a: got %q, want %q", got, want)
	}
	if got := w.calls("configmaps", other.namespace+"/a"); len(got) > 0 || w.begins("configmaps") != 1 {
		t.Errorf("another namespace: got %q and %d lists, want none and 1", got, w.begins("configmaps"))
	}
	if got := connection.requests("configmaps"); len(got) < 2 || got[0] != "watch unusable" {
		t.Errorf("requests for configmaps: got %q, want a watch and a list", got)
	}
	node := "node-" + own.namespace
	if _, err := l.kube.CoreV1().Nodes().Create(t.Context(),
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node", func() bool { return len(w.calls("nodes", node)) > 0 })
	for _, call := range sink.calls() {
		if _, object, ok := strings.Cut(call, "ADDED "); ok && !strings.HasPrefix(object, own.namespace+"/") {
			t.Errorf("calls of the sink: got %q, want only the objects of %s", call, own.namespace)
		}
	}
}
