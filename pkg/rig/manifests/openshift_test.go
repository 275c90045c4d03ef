package manifests_test

import (
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// built returns the objects that kustomize builds from a directory, by
// kind/name.
func built(t *testing.T, dir string) map[string]map[string]any {
	t.Helper()
	objects := map[string]map[string]any{}
	for document := range strings.SplitSeq(kubectl(t, "kustomize", dir), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatalf("kustomize %s: %v", dir, err)
		}
		metadata, _ := object["metadata"].(map[string]any)
		kind, _ := object["kind"].(string)
		name, _ := metadata["name"].(string)
		objects[kind+"/"+name] = object
	}
	return objects
}

// statefulSet returns the recorder's StatefulSet.
func statefulSet(t *testing.T, objects map[string]map[string]any) (set appsv1.StatefulSet) {
	t.Helper()
	text, err := yaml.Marshal(objects["StatefulSet/"+name])
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

// TestOpenShiftOverlay_OnlyRemovesUserAndGroups: the constraint restricted-v2
// rejects IDs that are not in the namespace's range, in the pod and in each
// container.
func TestOpenShiftOverlay_OnlyRemovesUserAndGroups(t *testing.T) {
	usual, overlay := built(t, deploy), built(t, deploy+"/overlays/openshift")
	want, got := statefulSet(t, usual), statefulSet(t, overlay)
	pod := want.Spec.Template.Spec.SecurityContext
	if pod.RunAsUser == nil || pod.RunAsGroup == nil || pod.FSGroup == nil {
		t.Errorf("base: got security context %+v, want a user and groups", pod)
	}
	pod.RunAsUser, pod.RunAsGroup, pod.FSGroup = nil, nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("StatefulSet\n got %+v\nwant %+v", got.Spec.Template.Spec, want.Spec.Template.Spec)
	}
	for _, c := range got.Spec.Template.Spec.Containers {
		if c.SecurityContext.RunAsUser != nil || c.SecurityContext.RunAsGroup != nil {
			t.Errorf("container %s: got security context %+v, want no user and group", c.Name, c.SecurityContext)
		}
	}
	delete(usual, "StatefulSet/"+name)
	delete(overlay, "StatefulSet/"+name)
	if !reflect.DeepEqual(overlay, usual) {
		t.Errorf("other objects\n got %v\nwant %v", overlay, usual)
	}
}

func TestOpenShiftOverlay_PassesDryRun(t *testing.T) {
	installed(t)
	kubectl(t, "apply", "-k", deploy+"/overlays/openshift", "--dry-run=server", "--warnings-as-errors")
}
