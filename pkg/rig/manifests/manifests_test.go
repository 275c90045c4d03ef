package manifests_test

import (
	"os"
	"path"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

const (
	deploy    = "../../../deploy"
	namespace = "watchhistory"
	name      = "watchhistory-recorder"
)

var cluster *clustertest.Cluster

func TestMain(m *testing.M) {
	os.Exit(clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c }))
}

// kubectl runs kubectl against the cluster and returns its output.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// installed applies all manifests and returns an administrator's client. It is
// idempotent.
func installed(t *testing.T) kubernetes.Interface {
	t.Helper()
	kubectl(t, "apply", "-k", deploy)
	kubectl(t, "apply", "-k", deploy+"/client")
	return cluster.Client(t)
}

// TestManifests_PassDryRun creates the namespace first, as in docs/install.md.
// A dry run does not create it, and the other objects are in it.
func TestManifests_PassDryRun(t *testing.T) {
	kubectl(t, "apply", "-f", deploy+"/base/namespace.yaml")
	kubectl(t, "apply", "-k", deploy, "--dry-run=server")
	out := kubectl(t, "create", "-k", deploy, "--dry-run=client", "-o", "name")
	if got := len(strings.Fields(out)); got != 12 {
		t.Errorf("got %d objects, want 12:\n%s", got, out)
	}
	kubectl(t, "apply", "-k", deploy+"/client", "--dry-run=server")
}

// TestManifests_ApplyWithoutWarnings: the API server warns about a pod template
// that violates the namespace's security standard.
func TestManifests_ApplyWithoutWarnings(t *testing.T) {
	kubectl(t, "apply", "-f", deploy+"/base/namespace.yaml", "--warnings-as-errors")
	kubectl(t, "apply", "-k", deploy, "--warnings-as-errors")
	kubectl(t, "apply", "-k", deploy+"/client", "--warnings-as-errors")
}

// TestNamespace_AdmitsOnlyRestrictedPods creates the recorder's pod in a dry
// run, and one that keeps its capabilities.
func TestNamespace_AdmitsOnlyRestrictedPods(t *testing.T) {
	template := recorder(t).template
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-0", Namespace: namespace, Labels: template.Labels},
		Spec:       template.Spec,
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "data"})
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := cluster.Client(t).CoreV1().Pods(namespace).Create(t.Context(), pod, options); err != nil {
		t.Fatal(err)
	}
	pod.Spec.Containers[0].SecurityContext.Capabilities = nil
	if _, err := cluster.Client(t).CoreV1().Pods(namespace).Create(t.Context(), pod, options); err == nil {
		t.Error("pod with capabilities: got no error, want it rejected")
	}
}

// workload is the StatefulSet's pod template with the configuration that it
// mounts.
type workload struct {
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
	config   string
}

// recorder returns the installed workload.
func recorder(t *testing.T) workload {
	t.Helper()
	client := installed(t)
	set, err := client.AppsV1().StatefulSets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *set.Spec.Replicas != 1 {
		t.Errorf("got %d replicas, want 1: each would have a history of its own", *set.Spec.Replicas)
	}
	w := workload{template: set.Spec.Template, claims: set.Spec.VolumeClaimTemplates}
	source := w.template.Spec.Volumes[0].ConfigMap.Name
	configMap, err := client.CoreV1().ConfigMaps(namespace).Get(t.Context(), source, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.config = configMap.Data["resources.yaml"]
	return w
}

// TestConfig_IsDefaultWithTLSAndLimit: the address must be reachable by the
// Service, only the port with TLS is on, and the limit is 4/5 of the volume.
func TestConfig_IsDefaultWithTLSAndLimit(t *testing.T) {
	w := recorder(t)
	got, err := daemon.ParseConfig([]byte(w.config))
	if err != nil {
		t.Fatal(err)
	}
	want := daemon.DefaultConfig()
	want.ServerPort, want.SecurePort = daemon.NoPort, 8443
	want.BindAddress, want.MaxStorage = "0.0.0.0", w.claims[0].Spec.Resources.Requests.Storage().Value()/5*4
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestPod_PathsAndPortsMatchConfig compares paths and ports that several files
// have.
func TestPod_PathsAndPortsMatchConfig(t *testing.T) {
	w := recorder(t)
	config, err := daemon.ParseConfig([]byte(w.config))
	if err != nil {
		t.Fatal(err)
	}
	container := w.template.Spec.Containers[0]
	mounts := map[string]string{}
	for _, m := range container.VolumeMounts {
		mounts[m.Name] = m.MountPath
	}
	for _, e := range container.Env {
		if e.Name == "CONFIG_PATH" && e.Value != path.Join(mounts["config"], "resources.yaml") {
			t.Errorf("got CONFIG_PATH %s, want a file in %s", e.Value, mounts["config"])
		}
	}
	if len(w.claims) != 1 || !strings.HasPrefix(config.StoragePath, mounts[w.claims[0].Name]+"/") {
		t.Errorf("got storagePath %s, want it on the volume at %s", config.StoragePath, mounts["data"])
	}
	if got := w.claims[0].Spec.Resources.Requests.Storage().String(); got != "50Gi" {
		t.Errorf("got a claim for %s, want 50Gi", got)
	}
	port := container.Ports[0]
	if int(port.ContainerPort) != config.SecurePort || port.Name != "https" || len(container.Ports) != 1 {
		t.Errorf("got container ports %+v, want only https %d", container.Ports, config.SecurePort)
	}
	for probe, want := range map[*corev1.Probe]string{
		container.StartupProbe: v1.LivezPath, container.LivenessProbe: v1.LivezPath,
		container.ReadinessProbe: v1.ReadyzPath,
	} {
		got := probe.HTTPGet
		if got.Path != want || got.Port.String() != port.Name || got.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("got a probe of %s on port %s with %s, want %s on %s with HTTPS",
				got.Path, got.Port.String(), got.Scheme, want, port.Name)
		}
	}
}

func TestServiceAndPolicy_SelectPod(t *testing.T) {
	w := recorder(t)
	service, err := cluster.Client(t).CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := service.Spec.Ports[0]
	if p.Name != "https" || p.Port != 8443 || p.TargetPort.String() != "https" || len(service.Spec.Ports) != 1 {
		t.Errorf("got service ports %+v, want only https 8443 to https", service.Spec.Ports)
	}
	policies := cluster.Client(t).NetworkingV1().NetworkPolicies(namespace)
	policy, err := policies.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for who, selector := range map[string]map[string]string{
		"service": service.Spec.Selector, "policy": policy.Spec.PodSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s: got an empty selector, want one", who)
		}
		for key, value := range selector {
			if w.template.Labels[key] != value {
				t.Errorf("%s: got selector %s=%s, want a label of %v", who, key, value, w.template.Labels)
			}
		}
	}
	in := policy.Spec.Ingress
	if len(in) != 1 || len(in[0].From) != 0 || len(in[0].Ports) != 1 || in[0].Ports[0].Port.IntValue() != 8443 {
		t.Errorf("got ingress %+v, want only port 8443, from everywhere", in)
	}
}
