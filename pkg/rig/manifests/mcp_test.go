package manifests_test

import (
	"reflect"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// TestMCPOverlay_OnlyAddsPlainPort compares the overlay with the base: it adds
// a listener, its container port and Service port, and one rule of the policy.
func TestMCPOverlay_OnlyAddsPlainPort(t *testing.T) {
	usual, overlay := built(t, deploy), built(t, deploy+"/overlays/mcp")

	set := decoded[appsv1.StatefulSet](t, overlay, "StatefulSet")
	container := set.Spec.Template.Spec.Containers[0]
	env := map[string]string{}
	for _, e := range container.Env {
		env[e.Name] = e.Value
	}
	delete(env, "CONFIG_PATH") // of the pod
	c, err := daemon.NewSource(func(name string) string { return env[name] }, deploy+"/base/resources.yaml").Load()
	if err != nil || c.ServerPort != 8080 || c.SecurePort != 8443 {
		t.Errorf("got ports %d and %d, error %v, want 8080 and 8443", c.ServerPort, c.SecurePort, err)
	}
	want := decoded[appsv1.StatefulSet](t, usual, "StatefulSet")
	base := &want.Spec.Template.Spec.Containers[0]
	base.Env = append(base.Env, corev1.EnvVar{Name: "SERVER_PORT", Value: "8080"})
	base.Ports = append(base.Ports, corev1.ContainerPort{Name: "http", ContainerPort: 8080})
	if !reflect.DeepEqual(set, want) {
		t.Errorf("StatefulSet\n got %+v\nwant %+v", set.Spec, want.Spec)
	}

	service, wantService := decoded[corev1.Service](t, overlay, "Service"), decoded[corev1.Service](t, usual, "Service")
	wantService.Spec.Ports = append(wantService.Spec.Ports,
		corev1.ServicePort{Name: "http", Port: 8080, TargetPort: intstr.FromString("http")})
	if !reflect.DeepEqual(service, wantService) {
		t.Errorf("Service\n got %+v\nwant %+v", service.Spec, wantService.Spec)
	}

	policy := decoded[networkingv1.NetworkPolicy](t, overlay, "NetworkPolicy")
	rules := policy.Spec.Ingress
	wantPolicy := decoded[networkingv1.NetworkPolicy](t, usual, "NetworkPolicy")
	if len(rules) != 2 || !reflect.DeepEqual(rules[:1], wantPolicy.Spec.Ingress) {
		t.Fatalf("got ingress %+v, want that of the base and one more", rules)
	}
	peers, ports := rules[1].From, rules[1].Ports
	if len(peers) != 1 || peers[0].NamespaceSelector == nil || len(ports) != 1 || ports[0].Port.IntValue() != 8080 ||
		!reflect.DeepEqual(peers[0].PodSelector.MatchLabels, map[string]string{"watchhistory.io/client": "true"}) {
		t.Errorf("got ingress %+v, want port 8080 from pods with label watchhistory.io/client=true", rules[1])
	}
	for _, kind := range []string{"StatefulSet", "Service", "NetworkPolicy"} {
		delete(usual, kind+"/"+name)
		delete(overlay, kind+"/"+name)
	}
	if !reflect.DeepEqual(overlay, usual) {
		t.Errorf("other objects\n got %v\nwant %v", overlay, usual)
	}
}

func TestMCPOverlay_PassesDryRun(t *testing.T) {
	installed(t)
	kubectl(t, "apply", "-k", deploy+"/overlays/mcp", "--dry-run=server", "--warnings-as-errors")
}
