package manifests_test

import (
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// TestOpenShiftOverlay_OnlyRemovesUserAndGroups: the constraint restricted-v2
// rejects IDs that are not in the namespace's range, in the pod and in each
// container.
func TestOpenShiftOverlay_OnlyRemovesUserAndGroups(t *testing.T) {
	usual, overlay := built(t, deploy), built(t, deploy+"/overlays/openshift")
	want := decoded[appsv1.StatefulSet](t, usual, "StatefulSet")
	got := decoded[appsv1.StatefulSet](t, overlay, "StatefulSet")
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
