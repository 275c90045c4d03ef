package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxCandidates bounds the pods to which one request tries to open a tunnel.
const maxCandidates = 5

// podState orders pods by how likely they are to answer.
type podState int

const (
	serving  podState = iota // running and ready
	unready                  // running; a recorder that is catching up answers
	deleting                 // running
	stopped                  // not running: a port can't be forwarded to it
)

// stateOf returns the state of a pod. The phase is Unknown if the node is not
// reachable for the control plane, so such a pod may still run.
func stateOf(pod *corev1.Pod) podState {
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodUnknown:
		return stopped
	case pod.DeletionTimestamp != nil:
		return deleting
	case !ready:
		return unready
	default:
		return serving
	}
}

// candidates returns the running pods. Those that most likely answer are first,
// and newer ones before older ones. Pods that refused connections are last.
func (p *backend) candidates(
	ctx context.Context, core corev1client.PodsGetter, refused map[types.UID]bool,
) ([]corev1.Pod, error) {
	pods, err := p.pods(ctx, core)
	if err != nil {
		return nil, err
	}
	last := func(pod *corev1.Pod) int {
		if refused[pod.UID] {
			return 1
		}
		return 0
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(last(&a)-last(&b), cmp.Compare(stateOf(&a), stateOf(&b)),
			b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	running := slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return stateOf(&pod) == stopped })
	if len(running) == 0 {
		return nil, p.notRunning(pods)
	}
	return running[:min(len(running), maxCandidates)], nil
}

// pods returns the pods that the Service selects. If it selects none, pods with
// the recorder's label are used.
func (p *backend) pods(ctx context.Context, core corev1client.PodsGetter) ([]corev1.Pod, error) {
	if p.service != nil && len(p.service.Spec.Selector) > 0 {
		selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: p.service.Spec.Selector})
		if pods, err := listPods(ctx, core, p.namespace, selector); len(pods) > 0 || err != nil {
			return pods, err
		}
	}
	return listPods(ctx, core, p.namespace, ServiceSelector)
}

// notRunning returns the error for a recorder without a running pod.
func (p *backend) notRunning(pods []corev1.Pod) error {
	switch {
	case len(pods) > 0:
		pod := &pods[0]
		return &history.Error{
			Code:    history.Unavailable,
			Message: "recorder pod " + key(pod) + " is not running: " + quote.Line(condition(pod)),
			Err:     &ConnectError{Reason: PodFailed, Namespace: pod.Namespace, Evidence: evidence(pod)},
		}
	case p.service != nil && len(p.service.Spec.Selector) == 0:
		return &history.Error{
			Code:    history.NotFound,
			Message: "Service " + p.String() + " selects no pods, so no port can be forwarded",
			Err:     &ConnectError{Reason: NoSelector, Namespace: p.namespace},
		}
	default:
		return &history.Error{
			Code:    history.Unavailable,
			Message: "recorder " + p.String() + " has no pods",
			Err:     &ConnectError{Reason: NoPods, Namespace: p.namespace},
		}
	}
}

// condition returns in a few words why a pod is not ready.
func condition(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := containerProblem(&c); text != "" {
			return text
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return "its phase is " + string(pod.Status.Phase)
}

// containerProblem returns why a container is not running, or "" if it runs or
// has completed.
func containerProblem(c *corev1.ContainerStatus) (text string) {
	switch {
	case c.State.Waiting != nil && c.State.Waiting.Reason != "" && c.State.Waiting.Reason != "PodInitializing":
		text = c.State.Waiting.Reason
		if c.State.Waiting.Message != "" {
			text += " (" + c.State.Waiting.Message + ")"
		}
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		text = fmt.Sprintf("%s (exit code %d)", cmp.Or(c.State.Terminated.Reason, "Error"), c.State.Terminated.ExitCode)
	default:
		return ""
	}
	if last := c.LastTerminationState.Terminated; last != nil {
		text += fmt.Sprintf(", previously %s (exit code %d)", cmp.Or(last.Reason, "Error"), last.ExitCode)
	}
	return "container " + c.Name + ": " + text
}

// evidence returns where the cause of a pod's failure can be found. That is the
// log of the container that ended or, if none has, the pod's status.
func evidence(pod *corev1.Pod) Evidence {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		ended := c.State.Terminated
		switch {
		case ended != nil && ended.ExitCode != 0:
			return Evidence{Pod: pod.Name, Container: c.Name, Log: true}
		case c.LastTerminationState.Terminated != nil && c.State.Running == nil:
			return Evidence{Pod: pod.Name, Container: c.Name, Log: true, Previous: true}
		}
	}
	return Evidence{Pod: pod.Name, Log: stateOf(pod) == unready}
}
