package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// finalizer keeps a pod between the two writes of its deletion.
const finalizer = "load.devcluster.dev/truth"

// pods are updated through their status, as a kubelet does. They are never
// bound to a node, because only the load may write to them.
//
// The API server deletes a pod in two writes and returns only one of them,
// while a watch receives both. A finalizer separates them: the request marks
// the pod, and the update that removes the finalizer deletes it.
type pods struct {
	client    typed.PodInterface
	raw       rest.Interface
	namespace string
}

func (pods) resource() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("pods")
}

func (p pods) create(ctx context.Context, name string) (metav1.Object, error) {
	return p.client.Create(ctx, newPod(name), createOptions())
}

func (p pods) update(ctx context.Context, current metav1.Object, n int) (metav1.Object, error) {
	pod, err := copied[*corev1.Pod](current)
	if err != nil {
		return nil, err
	}
	setStatus(pod, n)
	return p.client.UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: "kubelet"})
}

// mark requests JSON, because the response is either the pod or only a status.
func (p pods) mark(ctx context.Context, current metav1.Object) (metav1.Object, error) {
	raw, err := p.raw.Delete().Namespace(p.namespace).Resource("pods").Name(current.GetName()).
		SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	marked := &corev1.Pod{}
	if err := json.Unmarshal(raw, marked); err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	return marked, nil
}

func (p pods) delete(ctx context.Context, current metav1.Object) error {
	pod, err := copied[*corev1.Pod](current)
	if err != nil {
		return err
	}
	pod.Finalizers = nil
	_, err = p.client.Update(ctx, pod, updateOptions())
	return err
}

func (p pods) get(ctx context.Context, name string) (metav1.Object, error) {
	return p.client.Get(ctx, name, metav1.GetOptions{})
}

// newPod returns a pod of about 6 KB as JSON, before the server adds fields.
// That is the size of a typical service's pod.
func newPod(name string) *corev1.Pod {
	labels := map[string]string{
		"app.kubernetes.io/name": "checkout", "app.kubernetes.io/instance": "checkout-production",
		"app.kubernetes.io/version": "2024.11.3", "app.kubernetes.io/component": "backend",
		"app.kubernetes.io/part-of": "shop", "app.kubernetes.io/managed-by": "Helm",
		"pod-template-hash": "7c9d8b5f64",
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: labels, Finalizers: []string{finalizer},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9102", "prometheus.io/path": "/metrics",
				"checksum/config": "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a",
				"checksum/secret": "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986",
			},
		},
		Spec: corev1.PodSpec{
			SchedulerName:      "devcluster-load",
			ServiceAccountName: "checkout",
			Containers:         []corev1.Container{newContainer("app"), newContainer("proxy")},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: "checkout-config"},
				}}},
				{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
		},
	}
}

func newContainer(name string) corev1.Container {
	probe := &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/healthz", Port: intstr.FromInt32(9102),
		}},
		PeriodSeconds: 10, FailureThreshold: 3,
	}
	container := corev1.Container{
		Name:  name,
		Image: "registry.example.com/shop/checkout-" + name + ":2024.11.3",
		Args:  []string{"--listen=:8080", "--metrics=:9102", "--log-format=json", "--config=/etc/checkout/config.yaml"},
		Ports: []corev1.ContainerPort{{Name: name + "-metrics", ContainerPort: 9102}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("256Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")},
		},
		LivenessProbe: probe, ReadinessProbe: probe,
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: "/etc/checkout", ReadOnly: true}, {Name: "cache", MountPath: "/var/cache"},
		},
	}
	for i := range 12 {
		container.Env = append(container.Env, corev1.EnvVar{
			Name:  fmt.Sprintf("CHECKOUT_UPSTREAM_%02d_URL", i),
			Value: fmt.Sprintf("http://upstream-%02d.shop.svc:8080/api/v1", i),
		})
	}
	return container
}

// setStatus sets the status that a kubelet would report after n changes:
// containers restart, and the pod is ready after every second change.
func setStatus(pod *corev1.Pod, n int) {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	ready := corev1.ConditionStatus(map[bool]string{true: "True", false: "False"}[n%2 == 0])
	pod.Status.Phase = corev1.PodRunning
	pod.Status.StartTime = &now
	pod.Status.Conditions = nil
	for _, condition := range []corev1.PodConditionType{
		corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: condition, Status: ready, LastTransitionTime: now, Reason: "Generation" + strconv.Itoa(n),
		})
	}
	pod.Status.ContainerStatuses = nil
	for _, container := range pod.Spec.Containers {
		started := n%2 == 0
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, Ready: started, Started: &started,
			RestartCount: int32(n), //nolint:gosec // far below the limit
			ImageID:      container.Image + "@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			ContainerID:  "containerd://2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
			State:        corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
}
