package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// TestCRD_VersionChangeLosesOnlyUnsentVersions adds and removes a second
// version of the load's custom resource, and changes which one is stored. Each
// change makes the API server create a new watch cache for the resource. So no
// watch can deliver the versions that were accepted shortly before. None may be
// recorded twice or as deleted.
func TestCRD_VersionChangeLosesOnlyUnsentVersions(t *testing.T) {
	random := newRand(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "defined")
	w.createObjects(t, 12)
	var blind []clustertest.Blind
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(4, 16) {
			pause(random, time.Second)
			before := w.caughtUp(t, r)
			version := w.changeVersions(t, random)
			r.watches(t, version)
			blind = append(blind, clustertest.Blind{From: before, To: w.watching(t, r)})
		}
	})
	w.verify(t, r, blind...)
}

// changeVersions serves a second version of the widgets or not, and stores the
// first or the second. It returns the stored version, which is the one to
// watch.
func (w *scenario) changeVersions(t *testing.T, random *rand.Rand) (stored string) {
	t.Helper()
	open := `"subresources":{"status":{}},` +
		`"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}`
	stored = []string{"v1", "v2"}[random.IntN(2)]
	served := stored == "v2" || random.IntN(2) == 0
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"redefined":"%d"}},"spec":{"versions":[`+
		`{"name":"v1","served":true,"storage":%t,%s},{"name":"v2","served":%t,"storage":%t,%s}]}}`,
		random.Uint64(), stored == "v1", open, served, stored == "v2", open)
	definitions := schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	}
	_, err := w.objects.Resource(definitions).Patch(t.Context(), "widgets.load.devcluster.dev",
		types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// watches waits until the recorder watches the widgets in this version.
func (r *recorder) watches(t *testing.T, version string) {
	t.Helper()
	r.widgets(t, func(w *v1.Resource) bool { return w.Version == version && w.State == "watching" })
}

// widgets waits until the catalogue's entry of the widgets fulfils a condition.
func (r *recorder) widgets(t *testing.T, is func(*v1.Resource) bool) {
	t.Helper()
	recordertest.Eventually(t, "the state of the widgets", func() (bool, string) {
		r.Alive(t)
		list, err := r.Client.Resources(t.Context())
		if err != nil {
			return false, err.Error()
		}
		for i := range list.Resources {
			if w := &list.Resources[i]; w.Plural == "widgets" {
				return is(w), fmt.Sprintf("%+v", *w)
			}
		}
		return false, "not in the catalogue"
	})
}

// TestRights_RevokedAndGrantedAgainLosesNothing revokes the right to watch the
// widgets, and grants it again while the API server still has the changes.
func TestRights_RevokedAndGrantedAgainLosesNothing(t *testing.T) {
	random := newRand(t)
	u := newUser(t)
	u.permit(t, true)
	p := newProxy(t)
	r := newRecorder(t, u.kubeconfig(t, p))
	w := newScenario(t, "forbidden")
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(2, 8) {
			pause(random, time.Second)
			u.permit(t, false)
			r.widgets(t, func(w *v1.Resource) bool {
				if w.State == "waiting" {
					return true
				}
				p.cut(false) // an open watch continues: only the next one is forbidden
				// Limits the rate of reconnects. It orders nothing.
				time.Sleep(300 * time.Millisecond)
				return false
			})
			pause(random, time.Second)
			u.permit(t, true)
			r.widgets(t, func(w *v1.Resource) bool { return w.State == "watching" })
		}
	})
	w.verify(t, r)
}

// user is a user of the cluster with a ClusterRole of its own.
type user struct {
	name string
	kube kubernetes.Interface
}

// newUser returns a user without rights.
func newUser(t *testing.T) *user {
	t.Helper()
	u := &user{
		name: "recorder-" + filepath.Base(t.TempDir()) + t.Name(), kube: kubernetes.NewForConfigOrDie(cluster.Config()),
	}
	_, err := u.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: u.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: u.name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: u.name}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// permit permits the user to list and watch all resources, with or without the
// widgets.
func (u *user) permit(t *testing.T, widgets bool) {
	t.Helper()
	served, err := u.kube.Discovery().ServerGroups()
	if err != nil {
		t.Fatal(err)
	}
	const widgetGroup = "load.devcluster.dev"
	var groups []string // a role can't exclude a group
	for _, g := range served.Groups {
		if g.Name != widgetGroup {
			groups = append(groups, g.Name)
		}
	}
	if widgets {
		groups = append(groups, widgetGroup) // may not be served yet
	}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: u.name},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: groups, Resources: []string{"*"}, Verbs: []string{"list", "watch"}},
		},
	}
	// The API server creates a role that is updated before it exists.
	if _, err := u.kube.RbacV1().ClusterRoles().Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// kubeconfig writes the proxy's kubeconfig with this user, and returns the
// path.
func (u *user) kubeconfig(t *testing.T, p *proxy) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, auth := range config.AuthInfos {
		auth.Impersonate, auth.ImpersonateGroups = u.name, []string{"system:authenticated"}
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
