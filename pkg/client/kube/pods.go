package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// mostTried bounds the pods that one attempt to reach the recorder goes through.
const mostTried = 5

// errNoSelector is the cause of an error if a Service says nothing about pods.
var errNoSelector = errors.New("no selector")

// standing is how likely a pod is to answer.
type standing int

const (
	serving standing = iota // running and ready
	unready                 // running: a recorder that catches up may not be ready, and answers
	leaving                 // running, and being deleted
	stopped                 // not running: nothing can be forwarded to it
)

func standingOf(pod *corev1.Pod) standing {
	ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	switch {
	case pod.Status.Phase != corev1.PodRunning && pod.Status.Phase != corev1.PodUnknown:
		return stopped
	case pod.DeletionTimestamp != nil:
		return leaving
	case !ready:
		return unready
	default:
		return serving
	}
}

// candidates returns the running pods of a place, those most likely to answer first, and of these the newest. Pods that
// refused connections before come last.
func (p *place) candidates(ctx context.Context, core corev1client.PodsGetter, refused map[types.UID]bool) ([]corev1.Pod, error) {
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
		return cmp.Or(last(&a)-last(&b), cmp.Compare(standingOf(&a), standingOf(&b)),
			b.CreationTimestamp.Compare(a.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	running := slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return standingOf(&pod) == stopped })
	if len(running) == 0 {
		return nil, p.nothingRuns(pods)
	}
	return running[:min(len(running), mostTried)], nil
}

// pods returns the pods that the Service selects. If it selects none, those with the recorder's label are as good.
func (p *place) pods(ctx context.Context, core corev1client.PodsGetter) ([]corev1.Pod, error) {
	if p.service != nil && len(p.service.Spec.Selector) > 0 {
		selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: p.service.Spec.Selector})
		if pods, err := listPods(ctx, core, p.namespace, selector); len(pods) > 0 || err != nil {
			return pods, err
		}
	}
	return listPods(ctx, core, p.namespace, ServiceSelector)
}

func (p *place) nothingRuns(pods []corev1.Pod) error {
	switch {
	case len(pods) > 0:
		pod := &pods[0]
		return &Error{
			Code:    history.Unavailable,
			Message: "recorder pod " + key(pod) + " is not running: " + quotable(condition(pod)),
			Hint:    podAdvice(pod),
		}
	case p.service != nil && len(p.service.Spec.Selector) == 0:
		return &Error{
			Code:    history.NotFound,
			Message: "Service " + p.String() + " selects no pods that a port could be forwarded to",
			Hint:    "Reach the recorder with --connect=proxy or --recorder-url.",
			Err:     errNoSelector,
		}
	default:
		return &Error{
			Code:    history.Unavailable,
			Message: "recorder " + p.String() + " has no pods",
			Hint:    "See why with: kubectl -n " + p.namespace + " get statefulsets,events",
		}
	}
}

// condition says in a few words what a pod does instead of serving.
func condition(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if text := waiting(&c); text != "" {
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

// waiting returns why a container does not run, or "" if it does, or has done all that it was to do.
func waiting(c *corev1.ContainerStatus) (text string) {
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
		text += fmt.Sprintf(", last ended by %s (exit code %d)", cmp.Or(last.Reason, "Error"), last.ExitCode)
	}
	return "container " + c.Name + ": " + text
}

// podAdvice says where to look for the cause: in the log of the container that ended, or in what kept it from starting.
func podAdvice(pod *corev1.Pod) string {
	of := "kubectl -n " + pod.Namespace
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		ended := c.State.Terminated
		switch {
		case ended != nil && ended.ExitCode != 0:
			return "See why with: " + of + " logs " + pod.Name + " -c " + c.Name
		case c.LastTerminationState.Terminated != nil && c.State.Running == nil:
			return "See why with: " + of + " logs " + pod.Name + " -c " + c.Name + " --previous"
		}
	}
	if standingOf(pod) == unready {
		return "See why with: " + of + " logs " + pod.Name
	}
	return "See why with: " + of + " describe pod " + pod.Name
}
