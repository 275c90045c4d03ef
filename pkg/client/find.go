package client

import (
	"context"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// How a recorder's Service is known.
const (
	ServiceSelector  = "app.kubernetes.io/name=watchhistory-recorder"
	DefaultNamespace = "watchhistory"
)

// portName is the Service's port that speaks the REST API, where it has several.
const portName = "http"

const howToInstall = "Install one with: kubectl apply -k deploy/\n" +
	"or name the one there is, with --recorder-namespace or --recorder-url."

// Find returns the recorder's Service: the one in the given namespace; with an empty one, that in [DefaultNamespace], or
// else in any other, as far as the caller may look there. None and several are both errors.
func Find(ctx context.Context, services corev1client.ServicesGetter, namespace string) (*corev1.Service, error) {
	if namespace != "" {
		return findIn(ctx, services, namespace, "There is none in namespace "+namespace+".\n"+howToInstall)
	}
	found, err := findIn(ctx, services, DefaultNamespace, "")
	if err == nil || history.CodeOf(err) != history.NotFound && history.CodeOf(err) != history.Forbidden {
		return found, err
	}
	elsewhere, widely := findIn(ctx, services, metav1.NamespaceAll, howToInstall)
	switch {
	case history.CodeOf(widely) != history.Forbidden:
		return elsewhere, widely
	case history.CodeOf(err) == history.Forbidden:
		return nil, err
	default:
		return nil, &Error{
			Code: history.NotFound,
			Message: "no watchhistory recorder in namespace " + DefaultNamespace +
				", and you may not look for one in all namespaces",
			Hint: "Name its namespace with --recorder-namespace, or its URL with --recorder-url.", Err: widely,
		}
	}
}

func findIn(ctx context.Context, services corev1client.ServicesGetter, namespace, hint string) (*corev1.Service, error) {
	list, err := services.Services(namespace).List(ctx, metav1.ListOptions{LabelSelector: ServiceSelector})
	if err != nil {
		where := namespace
		if where == metav1.NamespaceAll {
			where = DefaultNamespace
		}
		return nil, apiFailure("look for the recorder's Service", err, forwardRole(where))
	}
	switch len(list.Items) {
	case 0:
		return nil, &Error{Code: history.NotFound, Message: "no watchhistory recorder found in the cluster", Hint: hint}
	case 1:
		return &list.Items[0], nil
	default:
		return nil, several(list.Items)
	}
}

func several(services []corev1.Service) error {
	names := make([]string, len(services))
	for i := range services {
		names[i] = services[i].Namespace + "/" + services[i].Name
	}
	slices.Sort(names)
	return &Error{
		Code:    history.Invalid,
		Message: "several watchhistory recorders found: " + strings.Join(names, ", "),
		Hint:    "Choose one with --recorder-namespace, or by its URL with --recorder-url.",
	}
}

// apiPort returns the Service's port that the REST API is behind.
func apiPort(service *corev1.Service) (*corev1.ServicePort, error) {
	ports := service.Spec.Ports
	for i := range ports {
		if ports[i].Name == portName || len(ports) == 1 {
			return &ports[i], nil
		}
	}
	return nil, &Error{
		Code:    history.NotFound,
		Message: "Service " + key(service) + " has no port named " + portName,
		Hint:    "Install the recorder's own manifests again: kubectl apply -k deploy/",
	}
}

// portKey names a port in the path of the service proxy.
func portKey(port *corev1.ServicePort) string {
	if port.Name != "" {
		return port.Name
	}
	return strconv.Itoa(int(port.Port))
}

func key(object metav1.Object) string { return object.GetNamespace() + "/" + object.GetName() }

// readyPod returns the newest of the Service's pods that is running, ready and not being deleted.
func readyPod(ctx context.Context, pods corev1client.PodsGetter, service *corev1.Service) (*corev1.Pod, error) {
	if len(service.Spec.Selector) == 0 {
		return nil, &Error{
			Code:    history.NotFound,
			Message: "Service " + key(service) + " selects no pods that a port could be forwarded to",
			Hint:    "Reach the recorder with --connect=proxy or --recorder-url.",
		}
	}
	selector := metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: service.Spec.Selector})
	list, err := pods.Pods(service.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, apiFailure("look for the recorder's pod", err, forwardRole(service.Namespace))
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int {
		if newer := b.CreationTimestamp.Compare(a.CreationTimestamp.Time); newer != 0 {
			return newer
		}
		return strings.Compare(a.Name, b.Name)
	})
	for i := range list.Items {
		if serves(&list.Items[i]) {
			return &list.Items[i], nil
		}
	}
	return nil, unready(service, list.Items)
}

func serves(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning &&
		slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
}

// unready says what the newest pod is doing instead of serving.
func unready(service *corev1.Service, pods []corev1.Pod) error {
	if len(pods) == 0 {
		return &Error{
			Code:    history.Unavailable,
			Message: "recorder " + key(service) + " has no pods",
			Hint:    "See why with: kubectl -n " + service.Namespace + " get statefulsets,events",
		}
	}
	pod := &pods[0]
	return &Error{
		Code:    history.Unavailable,
		Message: "recorder pod " + key(pod) + " is not ready: " + quotable(condition(pod)),
		Hint:    "See why with: kubectl -n " + pod.Namespace + " describe pod " + pod.Name,
	}
}

func condition(pod *corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return "it is being deleted"
	}
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			return c.State.Waiting.Reason
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return "its phase is " + string(pod.Status.Phase)
}

// containerPort returns the number of the pod's port that the Service's port leads to.
func containerPort(port *corev1.ServicePort, pod *corev1.Pod) (int32, error) {
	target := port.TargetPort
	switch {
	case target.IntVal != 0:
		return target.IntVal, nil
	case target.StrVal == "":
		return port.Port, nil
	}
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			for _, p := range containers[i].Ports {
				if p.Name == target.StrVal {
					return p.ContainerPort, nil
				}
			}
		}
	}
	return 0, &Error{
		Code:    history.NotFound,
		Message: "recorder pod " + key(pod) + " has no port named " + quotable(target.StrVal),
		Hint:    "Install the recorder's own manifests again: kubectl apply -k deploy/",
	}
}
