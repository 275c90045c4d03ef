package incidents_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

// The field managers of the plays.
const (
	byApply   = "kubectl-client-side-apply"
	byEdit    = "kubectl-edit"
	bySet     = "kubectl-set"
	byPatch   = "kubectl-patch"
	byScale   = "kubectl"
	byRestart = "kubectl-rollout"
	byArgo    = "argocd-controller"
	byHelm    = "helm"
	byFlux    = "kustomize-controller"
)

// patience bounds each wait of a play.
const patience = 90 * time.Second

// served are the resources of the plays, with their scopes.
var served = map[string]struct {
	version string
	cluster bool
}{
	"nodes": {"v1", true}, "namespaces": {"v1", true}, "persistentvolumes": {"v1", true},
	"storageclasses.storage.k8s.io":                                  {"v1", true},
	"priorityclasses.scheduling.k8s.io":                              {"v1", true},
	"customresourcedefinitions.apiextensions.k8s.io":                 {"v1", true},
	"validatingadmissionpolicies.admissionregistration.k8s.io":       {"v1", true},
	"validatingadmissionpolicybindings.admissionregistration.k8s.io": {"v1", true},
	"validatingwebhookconfigurations.admissionregistration.k8s.io":   {"v1", true},
	"horizontalpodautoscalers.autoscaling":                           {"v2", false},
	"pods.metrics.k8s.io":                                            {"v1beta1", false},
}

// stage is the namespace of one incident, with the clients of its play. Its
// methods panic with a stageError.
type stage struct {
	context.Context //nolint:containedctx // of one play

	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	kubelet   *kubelet
	namespace string

	// from and to are the times before and after the write of the cause.
	from, to time.Time
	onset    time.Time // zero: when the first pod failed
	// gap is the time of which the record has only how it ended.
	gap struct{ start, end time.Time }
}

type stageError struct{ error }

func (s *stage) must(err error, of string) {
	if err != nil {
		panic(stageError{fmt.Errorf("%s: %s: %w", s.namespace, of, err)})
	}
}

// cause makes the writes that cause the incident.
func (s *stage) cause(do func()) {
	s.from = time.Now()
	do()
	s.to = time.Now()
}

// outage makes the write of the cause while nothing is recorded. The recorder
// records all the time: [stage.withGap] leaves out what it would have missed.
func (s *stage) outage(do func()) {
	s.gap.start = time.Now()
	s.from = s.gap.start
	s.sleep(8 * time.Second)
	do()
	s.sleep(12 * time.Second)
	s.gap.end = time.Now()
	s.to = s.gap.end
}

// in returns the stage of another namespace of the incident, and creates it.
func (s *stage) in(suffix string) *stage {
	other := *s
	other.namespace = s.namespace + "-" + suffix
	other.create(byApply, "apiVersion: v1\nkind: Namespace\nmetadata: {name: NS}")
	return &other
}

// begins notes that the symptom begins now.
func (s *stage) begins() { s.onset = time.Now() }

// of returns the client of a resource, such as deployments.apps.
func (s *stage) of(resource string) dynamic.ResourceInterface {
	r := schema.ParseGroupResource(resource)
	known := served[resource]
	gvr := r.WithVersion("v1")
	if known.version != "" {
		gvr.Version = known.version
	}
	if known.cluster {
		return s.dynamic.Resource(gvr)
	}
	return s.dynamic.Resource(gvr).Namespace(s.namespace)
}

// resources are the resources of kinds in manifests.
var resources = map[string]string{
	"Deployment": "deployments.apps", "StatefulSet": "statefulsets.apps", "DaemonSet": "daemonsets.apps",
	"Service": "services", "ConfigMap": "configmaps", "Secret": "secrets", "Job": "jobs.batch",
	"CronJob": "cronjobs.batch", "ResourceQuota": "resourcequotas", "LimitRange": "limitranges",
	"NetworkPolicy": "networkpolicies.networking.k8s.io", "Ingress": "ingresses.networking.k8s.io",
	"PersistentVolumeClaim": "persistentvolumeclaims", "PersistentVolume": "persistentvolumes",
	"StorageClass": "storageclasses.storage.k8s.io", "Namespace": "namespaces",
	"HorizontalPodAutoscaler": "horizontalpodautoscalers.autoscaling",
	"Role":                    "roles.rbac.authorization.k8s.io",
	"RoleBinding":             "rolebindings.rbac.authorization.k8s.io",
	"ServiceAccount":          "serviceaccounts", "Certificate": "certificates.pki.example.com",
	"Issuer":                           "issuers.pki.example.com",
	"ValidatingAdmissionPolicy":        "validatingadmissionpolicies.admissionregistration.k8s.io",
	"ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings.admissionregistration.k8s.io",
	"ValidatingWebhookConfiguration":   "validatingwebhookconfigurations.admissionregistration.k8s.io",
	"CustomResourceDefinition":         "customresourcedefinitions.apiextensions.k8s.io",
	"PriorityClass":                    "priorityclasses.scheduling.k8s.io",
	"PodMetrics":                       "pods.metrics.k8s.io",
}

// create creates the objects of a manifest. NS in it is the namespace.
func (s *stage) create(manager, manifest string) {
	for document := range strings.SplitSeq(strings.ReplaceAll(manifest, "NS", s.namespace), "\n---\n") {
		o := &unstructured.Unstructured{}
		data, err := yaml.YAMLToJSON([]byte(document))
		s.must(err, "parse manifest")
		s.must(json.Unmarshal(data, &o.Object), "parse manifest")
		_, err = s.of(resources[o.GetKind()]).Create(s, o, metav1.CreateOptions{FieldManager: manager})
		s.must(err, "create "+o.GetKind()+" "+o.GetName())
	}
}

// patch changes an object with a strategic merge patch, or with a merge patch
// if it is a custom resource.
func (s *stage) patch(manager, resource, name, patch string, subresource ...string) {
	kind := types.StrategicMergePatchType
	if strings.HasSuffix(resource, ".example.com") {
		kind = types.MergePatchType
	}
	data, err := yaml.YAMLToJSON([]byte(patch))
	s.must(err, "parse patch")
	_, err = s.of(resource).Patch(s, name, kind, data, metav1.PatchOptions{FieldManager: manager}, subresource...)
	s.must(err, "patch "+resource+" "+name)
}

func (s *stage) delete(resource, name string) {
	propagation := metav1.DeletePropagationBackground
	err := s.of(resource).Delete(s, name, metav1.DeleteOptions{PropagationPolicy: &propagation})
	s.must(err, "delete "+resource+" "+name)
}

// app returns the manifest of a Deployment, with more fields of its pods'
// specification and of their container.
func app(name, image string, replicas int, pod, container string) string {
	return workload("Deployment", name, image, fmt.Sprintf("  replicas: %d\n", replicas), pod, container)
}

// workload returns the manifest of an object with a pod template.
func workload(kind, name, image, spec, pod, container string) string {
	if !strings.Contains(pod, "nodeSelector") {
		pod = strings.TrimSpace(pod + "\nnodeSelector: {pool: shared}")
	}
	return "apiVersion: apps/v1\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n  labels: {app: " + name +
		"}\nspec:\n" + spec + "  selector: {matchLabels: {app: " + name +
		"}}\n  template:\n    metadata: {labels: {app: " +
		name + "}}\n    spec:\n" + indent(6, pod) + "      containers:\n      - name: app\n        image: " + image +
		"\n" + indent(8, container)
}

// indent indents lines, and ends them.
func indent(by int, text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.Repeat(" ", by) + line + "\n")
	}
	return b.String()
}

// service returns the manifest of a Service of an app.
func service(name string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec:\n  selector: {app: " + name +
		"}\n  ports: [{port: 80, targetPort: 8080}]\n"
}

// settings returns the manifest of a ConfigMap.
func settings(name, key, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s: %q}\n", name, key, text)
}

// ready waits until all replicas of a Deployment are available.
func (s *stage) ready(names ...string) {
	for _, name := range names {
		s.until("deployment "+name+" is ready", func() bool {
			d, err := s.kube.AppsV1().Deployments(s.namespace).Get(s, name, metav1.GetOptions{})
			s.must(err, "get deployment")
			want := *d.Spec.Replicas
			return d.Status.ObservedGeneration == d.Generation && d.Status.UpdatedReplicas == want &&
				d.Status.AvailableReplicas == want && d.Status.Replicas == want
		})
	}
}

// running waits until some pods with a label app run and are ready.
func (s *stage) running(name string, count int) {
	s.until(fmt.Sprint(count, " pods of ", name), func() bool {
		pods, err := s.kube.CoreV1().Pods(s.namespace).List(s, metav1.ListOptions{LabelSelector: "app=" + name})
		s.must(err, "list pods")
		n := 0
		for i := range pods.Items {
			for _, c := range pods.Items[i].Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					n++
				}
			}
		}
		return n >= count
	})
}

// until waits for a condition.
func (s *stage) until(what string, holds func() bool) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); s.sleep(200 * time.Millisecond) {
		if holds() {
			return
		}
	}
	s.must(context.DeadlineExceeded, "wait until "+what)
}

// sleep lets time pass between two acts of a play.
func (s *stage) sleep(d time.Duration) {
	pause(s, d)
	s.must(s.Err(), "sleep")
}

// fail makes all pods of the apps of these names fail.
func (s *stage) fail(f fault, names ...string) {
	s.failIf(f, func(*corev1.Pod) bool { return true }, names...)
}

// failNew makes pods of the apps fail that are created from now on.
func (s *stage) failNew(f fault, names ...string) {
	since := time.Now().Truncate(time.Second)
	s.failIf(f, func(p *corev1.Pod) bool { return !p.CreationTimestamp.Time.Before(since) }, names...)
}

// failIf makes those pods of the apps fail for which a condition holds.
func (s *stage) failIf(f fault, holds func(*corev1.Pod) bool, names ...string) {
	s.kubelet.fail(s.namespace, func(pod *corev1.Pod) *fault {
		for _, name := range names {
			if pod.Labels["app"] == name && holds(pod) {
				return &f
			}
		}
		return chronic(pod)
	})
}

// chronic returns the fault of the noisy app that fails all the time.
func chronic(pod *corev1.Pod) *fault {
	if pod.Labels["app"] == "legacy-sync" {
		return &fault{exit: 3, rounds: 6, message: "sync: upstream returned 503"}
	}
	return nil
}

// deletePods deletes the pods of an app.
func (s *stage) deletePods(name string) {
	err := s.kube.CoreV1().Pods(s.namespace).DeleteCollection(s, metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: "app=" + name})
	s.must(err, "delete pods of "+name)
}

// restart restarts the pods of a Deployment as kubectl does.
func (s *stage) restart(name string) {
	s.patch(byRestart, "deployments.apps", name, fmt.Sprintf(
		`{spec: {template: {metadata: {annotations: {kubectl.kubernetes.io/restartedAt: %q}}}}}`,
		time.Now().Format(time.RFC3339)))
}

// scale changes the replicas of a Deployment.
func (s *stage) scale(manager, name string, replicas int) {
	s.patch(manager, "deployments.apps", name, fmt.Sprintf(`{spec: {replicas: %d}}`, replicas))
}

// image changes the image of an app.
func (s *stage) image(manager, resource, name, image string) {
	s.patch(manager, resource, name, container("image: "+image))
}

// container returns a patch of the container.
func container(fields string) string {
	return "{spec: {template: {spec: {containers: [{name: app, " + fields + "}]}}}}"
}

func hash(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}
