package install_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/watchhistory/watchhistory/deploy"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/install"
)

// source is the directory whose manifests are embedded.
const source = "../../deploy"

// kustomized returns what kubectl kustomize prints for a directory.
func kustomized(t *testing.T, dir string) string {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// build returns manifests with options.
func build(t *testing.T, o install.Options) *install.Manifests {
	t.Helper()
	m, err := install.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// find returns the object of a kind with a name.
func find[T any](t *testing.T, m *install.Manifests, kind, name string) (object T) {
	t.Helper()
	i := slices.IndexFunc(m.Objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && o.GetName() == name
	})
	if i < 0 {
		t.Fatalf("got no %s %s, want one", kind, name)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m.Objects[i].Object, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestFiles_AreThoseOfTheDirectory(t *testing.T) {
	err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		got, err := deploy.Files.ReadFile(filepath.ToSlash(name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: got embedded %q, error %v; want the file in deploy/", name, got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBuild_IsKustomization compares with what kubectl applies for each
// directory of deploy/.
func TestBuild_IsKustomization(t *testing.T) {
	for dir, o := range map[string]install.Options{
		"":                   {},
		"overlays/openshift": {Overlays: []install.Overlay{install.OpenShift}},
		"overlays/mcp":       {Overlays: []install.Overlay{install.MCP}},
	} {
		if diff := cmp.Diff(kustomized(t, filepath.Join(source, dir)), string(build(t, o).YAML)); diff != "" {
			t.Errorf("deploy/%s: got a difference (-want +got):\n%s", dir, diff)
		}
	}
	overlays, err := os.ReadDir(filepath.Join(source, "overlays"))
	if err != nil || len(overlays) != 2 {
		t.Errorf("got overlays %v, error %v; want the 2 that package install offers", overlays, err)
	}
}

func TestBuild_SetsImage(t *testing.T) {
	const other = "registry.example.com:5000/watchhistory-recorder"
	for _, tt := range []struct{ image, tag, want string }{
		{"", "v1.2.3", install.Image + ":v1.2.3"},
		{other, "v1.2.3", other + ":v1.2.3"},
		{other + ":v0", "v1.2.3", other + ":v0"},
		{other + "@sha256:abc", "v1.2.3", other + "@sha256:abc"},
		{install.Image + ":v0", "", install.Image + ":v0"},
	} {
		m := build(t, install.Options{Image: tt.image, Tag: tt.tag})
		set := find[appsv1.StatefulSet](t, m, "StatefulSet", install.Name)
		if got := set.Spec.Template.Spec.Containers[0].Image; got != tt.want {
			t.Errorf("image %q, tag %q: got %s, want %s", tt.image, tt.tag, got, tt.want)
		}
	}
}

func TestBuild_SetsStorageAndRetention(t *testing.T) {
	size := resource.MustParse("200Gi")
	m := build(t, install.Options{Storage: &size, StorageClass: "fast", RetentionDays: 30})
	claim := find[appsv1.StatefulSet](t, m, "StatefulSet", install.Name).Spec.VolumeClaimTemplates[0].Spec
	if got := claim.Resources.Requests.Storage().String(); got != "200Gi" {
		t.Errorf("got a claim for %s, want 200Gi", got)
	}
	if claim.StorageClassName == nil || *claim.StorageClassName != "fast" {
		t.Errorf("got class %v, want fast", claim.StorageClassName)
	}
	config, err := daemon.ParseConfig(
		[]byte(find[corev1.ConfigMap](t, m, "ConfigMap", install.Name).Data["resources.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	if config.RetentionDays != 30 || config.MaxStorage != 160<<30 {
		t.Errorf("got %d days in %d bytes, want 30 in 160 Gi", config.RetentionDays, config.MaxStorage)
	}
}

// TestBuild_MovesToNamespace checks that no object, service account or binding
// stays in the default namespace.
func TestBuild_MovesToNamespace(t *testing.T) {
	m := build(t, install.Options{Namespace: "tools", Readers: []string{"developers", "support"}})
	for _, o := range m.Objects {
		if got := o.GetNamespace(); got != "" && got != "tools" {
			t.Errorf("%s: got namespace %s, want tools", install.NameOf(o), got)
		}
		if o.GetKind() == "Namespace" && o.GetName() != "tools" {
			t.Errorf("got Namespace %s, want tools", o.GetName())
		}
		subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
		for _, s := range subjects {
			subject := s.(map[string]any)
			if subject["kind"] == "ServiceAccount" && subject["namespace"] != "tools" {
				t.Errorf("%s: got subject %v, want one in tools", install.NameOf(o), subject)
			}
		}
		if o.GetName() == "watchhistory-client" && o.GetKind() == "RoleBinding" {
			if len(subjects) != 2 || subjects[1].(map[string]any)["name"] != "support" {
				t.Errorf("readers: got %v, want developers and support", subjects)
			}
		}
	}
	if n := len(m.Objects); n != 14 {
		t.Errorf("got %d objects, want 12 and the 2 of the readers", n)
	}
}

func TestBuild_CombinesOverlays(t *testing.T) {
	m := build(t, install.Options{Overlays: []install.Overlay{install.OpenShift, install.MCP}})
	pod := find[appsv1.StatefulSet](t, m, "StatefulSet", install.Name).Spec.Template.Spec
	if pod.SecurityContext.RunAsUser != nil || len(pod.Containers[0].Ports) != 2 {
		t.Errorf("got user %v and %d ports, want none and 2",
			pod.SecurityContext.RunAsUser, len(pod.Containers[0].Ports))
	}
}

// TestBuild_AppliesNamespacesFirst checks the order in which objects need each
// other.
func TestBuild_AppliesNamespacesFirst(t *testing.T) {
	var kinds []string
	for _, o := range build(t, install.Options{}).Objects {
		kinds = append(kinds, o.GetKind())
	}
	for _, after := range []struct{ first, second string }{
		{"Namespace", "ServiceAccount"},
		{"ServiceAccount", "StatefulSet"},
		{"ConfigMap", "StatefulSet"},
		{"ClusterRole", "ClusterRoleBinding"},
		{"ClusterRoleBinding", "StatefulSet"},
	} {
		if slices.Index(kinds, after.first) > slices.Index(kinds, after.second) {
			t.Errorf("got %v, want %s before %s", kinds, after.first, after.second)
		}
	}
}

func TestBuild_ReplacesConfiguration(t *testing.T) {
	const config = "securePort: 8443\nbindAddress: 0.0.0.0\nretentionDays: 3\n"
	m := build(t, install.Options{Config: []byte(config)})
	if got := find[corev1.ConfigMap](t, m, "ConfigMap", install.Name).Data["resources.yaml"]; got != config {
		t.Errorf("got configuration %q, want %q", got, config)
	}
	for _, tt := range []struct{ config, want string }{
		{"bindAddress: 0.0.0.0", "securePort"},
		{"securePort: 8443", "bindAddress"},
		{"securePort: 8443\nbindAddress: 0.0.0.0\nsecureBindAddress: 127.0.0.1", "bindAddress"},
		{"securePort: 8443\nbindAddress: 0.0.0.0\nstoragePath: /tmp", "storagePath"},
		{"[", "configuration"},
	} {
		_, err := install.Build(install.Options{Config: []byte(tt.config)})
		if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got error %v, want one about %s", tt.config, err, tt.want)
		}
	}
}

// TestNames_AreThoseOfTheClient compares names that two packages have.
func TestNames_AreThoseOfTheClient(t *testing.T) {
	if install.DefaultNamespace != kube.DefaultNamespace {
		t.Errorf("got namespace %s, want %s", install.DefaultNamespace, kube.DefaultNamespace)
	}
	if got := "app.kubernetes.io/name=" + install.Name; got != kube.ServiceSelector {
		t.Errorf("got label %s, want %s", got, kube.ServiceSelector)
	}
}
