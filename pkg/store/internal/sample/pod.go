package sample

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// nextPod creates the pod of a place, changes its status or, one time in 50, deletes it.
func (c *Cluster) nextPod(i int) *history.Record {
	pod, verb := c.pods[i], history.Update
	switch {
	case pod == nil:
		pod, verb = c.newPod(i), history.Create
		c.pods[i] = pod
	case c.rng.IntN(50) == 0:
		verb = history.Delete
		c.pods[i] = nil
	default:
		c.churn(pod)
	}
	r := c.record(verb, "pods", "Pod", &pod.ObjectMeta, pod)
	r.Managers = []history.Manager{{Name: "kubelet", Operation: "Update", Subresource: "status", Time: c.time().UTC()}}
	return r
}

func (c *Cluster) newPod(i int) *corev1.Pod {
	app := fmt.Sprintf("app-%d", i%40)
	set, controller := app+"-"+c.suffix(10), true
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: set + "-" + c.suffix(5), GenerateName: set + "-", Namespace: fmt.Sprintf("team-%d", i%25), UID: c.uid(),
			CreationTimestamp: c.time(),
			Labels: map[string]string{
				"app.kubernetes.io/name": app, "app.kubernetes.io/part-of": "shop", "pod-template-hash": c.suffix(10),
			},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "checksum/config": c.digest()},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: set, UID: c.uid(),
				Controller: &controller, BlockOwnerDeletion: &controller,
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i/10), ServiceAccountName: app, RestartPolicy: corev1.RestartPolicyAlways,
			DNSPolicy: corev1.DNSClusterFirst, SchedulerName: "default-scheduler",
			Containers: []corev1.Container{container(app), container("proxy")},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{
				ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: app}},
			}}},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"},
				{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"},
			},
		},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBurstable},
	}
	c.churn(pod)
	return pod
}

func container(name string) corev1.Container {
	quantity := func(s string) resource.Quantity { return resource.MustParse(s) }
	var env []corev1.EnvVar
	for _, v := range []string{"LOG_LEVEL", "REGION", "DATABASE_URL", "CACHE_URL", "FEATURES", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		env = append(env, corev1.EnvVar{Name: v, Value: strings.ToLower(v) + ".example." + name})
	}
	return corev1.Container{
		Name: name, Image: "registry.example.com/shop/" + name + ":1.42.0", Env: env,
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: "TCP"}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{"cpu": quantity("100m"), "memory": quantity("128Mi")},
			Limits:   corev1.ResourceList{"memory": quantity("256Mi")},
		},
		VolumeMounts:           []corev1.VolumeMount{{Name: "config", ReadOnly: true, MountPath: "/etc/" + name}},
		TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File", ImagePullPolicy: "IfNotPresent",
	}
}

// churn changes a pod's status as a kubelet does when a container restarts.
func (c *Cluster) churn(pod *corev1.Pod) {
	st := &pod.Status
	st.Phase, st.PodIP, st.StartTime = corev1.PodRunning, fmt.Sprintf("10.%d.%d.7", c.rng.IntN(256), c.rng.IntN(256)), nil
	ready := c.rng.IntN(3) > 0
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	st.Conditions = nil
	for _, kind := range []corev1.PodConditionType{"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"} {
		st.Conditions = append(st.Conditions, corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: c.time()})
	}
	restarts := int32(0)
	if len(st.ContainerStatuses) > 0 {
		restarts = st.ContainerStatuses[0].RestartCount + 1
	}
	st.ContainerStatuses = nil
	for _, ct := range pod.Spec.Containers {
		st.ContainerStatuses = append(st.ContainerStatuses, corev1.ContainerStatus{
			Name: ct.Name, Ready: ready, RestartCount: restarts, Image: ct.Image,
			ImageID: ct.Image + "@" + c.digest(), ContainerID: "containerd://" + c.digest()[7:], Started: &ready,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: c.time()}},
		})
	}
}
