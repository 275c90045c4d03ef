package scenario

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// kubelet reports the state of one pod as the kubelet of its node would.
type kubelet struct {
	stage    *stage
	pod      *corev1.Pod
	restarts int32
	// last is the container's last termination, or nil.
	last   *corev1.ContainerStateTerminated
	events map[string]*corev1.Event // by type, reason and message
}

func newKubelet(s *stage, pod *corev1.Pod) *kubelet {
	return &kubelet{stage: s, pod: pod, events: map[string]*corev1.Event{}}
}

func (k *kubelet) waiting(ctx context.Context, reason, message string) error {
	return k.report(ctx, corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	})
}

func (k *kubelet) running(ctx context.Context) error {
	return k.report(ctx, corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()},
	})
}

// report writes the container's state, and the pod's phase and conditions that
// follow from it.
func (k *kubelet) report(ctx context.Context, state corev1.ContainerState) error {
	pods := k.stage.client.CoreV1().Pods(k.stage.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, k.pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		k.setStatus(pod, state)
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{FieldManager: byKubelet})
		return err
	})
	if err != nil {
		return fmt.Errorf("report status of pod %s: %w", k.pod.Name, err)
	}
	return nil
}

func (k *kubelet) setStatus(pod *corev1.Pod, state corev1.ContainerState) {
	up := state.Running != nil
	status := corev1.ContainerStatus{
		Name: container, Image: pod.Spec.Containers[0].Image, State: state,
		RestartCount: k.restarts, Ready: up, Started: &up,
	}
	if k.last != nil {
		status.LastTerminationState.Terminated = k.last
	}
	if up || k.restarts > 0 {
		pod.Status.Phase = corev1.PodRunning
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	pod.Status.HostIP = "127.0.0.1"
	if pod.Status.StartTime == nil {
		now := metav1.Now()
		pod.Status.StartTime = &now
	}
	setCondition(pod, corev1.PodInitialized, true)
	setCondition(pod, corev1.PodReady, up)
	setCondition(pod, corev1.ContainersReady, up)
}

func setCondition(pod *corev1.Pod, kind corev1.PodConditionType, holds bool) {
	next := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !holds {
		next.Status, next.Reason = corev1.ConditionFalse, "ContainersNotReady"
		next.Message = fmt.Sprintf("containers with unready status: [%s]", container)
	}
	for i, old := range pod.Status.Conditions {
		if old.Type != kind {
			continue
		}
		if old.Status == next.Status {
			next.LastTransitionTime = old.LastTransitionTime
		}
		pod.Status.Conditions[i] = next
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, next)
}

// event creates an Event about the container, or increases the count of an
// existing one.
func (k *kubelet) event(ctx context.Context, kind, reason, message string) error {
	events := k.stage.client.CoreV1().Events(k.stage.Namespace)
	key := kind + reason + message
	if known := k.events[key]; known != nil {
		known.Count++
		known.LastTimestamp = metav1.Now()
		updated, err := events.Update(ctx, known, metav1.UpdateOptions{FieldManager: byKubelet})
		if err != nil {
			return fmt.Errorf("count event %s: %w", reason, err)
		}
		k.events[key] = updated
		return nil
	}
	now := metav1.Now()
	created, err := events.Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s.%x", k.pod.Name, time.Now().UnixNano()), Namespace: k.pod.Namespace,
		},
		InvolvedObject: corev1.ObjectReference{
			Kind: "Pod", APIVersion: "v1", Namespace: k.pod.Namespace, Name: k.pod.Name, UID: k.pod.UID,
			ResourceVersion: k.pod.ResourceVersion, FieldPath: "spec.containers{" + container + "}",
		},
		Source: corev1.EventSource{Component: "kubelet", Host: k.pod.Spec.NodeName},
		Type:   kind, Reason: reason, Message: message,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: "kubelet", ReportingInstance: k.pod.Spec.NodeName,
	}, metav1.CreateOptions{FieldManager: byKubelet})
	if err != nil {
		return fmt.Errorf("emit event %s: %w", reason, err)
	}
	k.events[key] = created
	return nil
}
