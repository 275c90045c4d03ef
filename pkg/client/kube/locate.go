package client

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ServiceSelector is the label of a recorder's Service, and of its pods.
const ServiceSelector = "app.kubernetes.io/name=watchhistory-recorder"

// DefaultNamespace is where a recorder is looked for first.
const DefaultNamespace = "watchhistory"

const (
	portName    = "http" // the port of the REST API, if there are several
	defaultPort = 8080   // of a pod that names none
	// mostListed bounds the objects of one list.
	mostListed = 100
)

const howToInstall = "Install one with: kubectl apply -k deploy/\n" +
	"or name the one there is, with --recorder-namespace or --recorder-url."

// place is where a recorder runs.
type place struct {
	namespace, name string
	service         *corev1.Service // nil: there are only pods
}

// String returns "namespace/name".
func (p *place) String() string { return p.namespace + "/" + p.name }

// locate returns the place of the recorder in a namespace. If the namespace is empty, it is the recorder in
// [DefaultNamespace], or otherwise in any other namespace, as far as the caller may look there. None and several are both
// errors.
func locate(ctx context.Context, core corev1client.CoreV1Interface, namespace string) (*place, error) {
	if namespace != "" {
		return locateIn(ctx, core, namespace, "There is none in namespace "+namespace+".\n"+howToInstall)
	}
	found, err := locateIn(ctx, core, DefaultNamespace, "")
	if err == nil || history.CodeOf(err) != history.NotFound && !lacksRight(err) {
		return found, err
	}
	elsewhere, widely := locateIn(ctx, core, metav1.NamespaceAll, howToInstall)
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

// locateIn looks for Services. If there is none, or if they may not be listed, it looks for pods with the same label: a
// port can be forwarded to a pod that no Service selects.
func locateIn(ctx context.Context, core corev1client.CoreV1Interface, namespace, hint string) (*place, error) {
	found, err := services(ctx, core, namespace, hint)
	if err == nil || history.CodeOf(err) != history.NotFound && !lacksRight(err) {
		return found, err
	}
	pods, podsErr := listPods(ctx, core, namespace, ServiceSelector)
	if podsErr != nil || len(pods) == 0 {
		return nil, err
	}
	places := make([]*place, len(pods))
	for i := range pods {
		places[i] = &place{namespace: pods[i].Namespace, name: pods[i].Name}
	}
	if slices.ContainsFunc(places, func(p *place) bool { return p.namespace != places[0].namespace }) {
		return nil, several(places)
	}
	return places[0], nil
}

func services(ctx context.Context, core corev1client.ServicesGetter, namespace, hint string) (*place, error) {
	list, err := core.Services(namespace).List(ctx, metav1.ListOptions{LabelSelector: ServiceSelector, Limit: mostListed})
	if err != nil {
		return nil, apiFailure("look for the recorder's Service", err, forwardRole(cmp.Or(namespace, DefaultNamespace)))
	}
	if len(list.Items) == 0 {
		return nil, &Error{Code: history.NotFound, Message: "no watchhistory recorder found in the cluster", Hint: hint}
	}
	slices.SortFunc(list.Items, preferred)
	best := &list.Items[0]
	var places []*place
	for i := range list.Items {
		s := &list.Items[i]
		places = append(places, &place{namespace: s.Namespace, name: s.Name, service: s})
	}
	if slices.ContainsFunc(places, func(p *place) bool { return !samePods(p.service, best) }) {
		return nil, several(places)
	}
	return places[0], nil
}

// preferred sorts Services: first those with the REST API's port, then those with an address of their own.
func preferred(a, b corev1.Service) int {
	rank := func(s corev1.Service) (n int) {
		if _, err := apiPort(&s); err != nil {
			n += 2
		}
		if s.Spec.ClusterIP == corev1.ClusterIPNone {
			n++
		}
		return n
	}
	return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// samePods reports whether two Services lead to the same recorder, as a headless one and another often do.
func samePods(a, b *corev1.Service) bool {
	return a.Namespace == b.Namespace && (a.Name == b.Name ||
		len(a.Spec.Selector) > 0 && labels.Equals(a.Spec.Selector, b.Spec.Selector))
}

func several(places []*place) error {
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.String()
	}
	slices.Sort(names)
	return &Error{
		Code:    history.Invalid,
		Message: "several watchhistory recorders found: " + strings.Join(names, ", "),
		Hint:    "Choose one with --recorder-namespace, or by its URL with --recorder-url.",
	}
}

func listPods(ctx context.Context, core corev1client.PodsGetter, namespace, selector string) ([]corev1.Pod, error) {
	list, err := core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: mostListed})
	if err != nil {
		return nil, apiFailure("look for the recorder's pod", err, forwardRole(cmp.Or(namespace, DefaultNamespace)))
	}
	return list.Items, nil
}

// apiPort returns the Service's port of the REST API.
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

// portOf returns the number of the pod's port that the REST API listens on.
func (p *place) portOf(pod *corev1.Pod) (int32, error) {
	if p.service == nil {
		return podPort(pod), nil
	}
	port, err := apiPort(p.service)
	if err != nil {
		return 0, err
	}
	target := port.TargetPort
	switch {
	case target.IntVal != 0:
		return target.IntVal, nil
	case target.StrVal == "":
		return port.Port, nil
	}
	for _, declared := range portsOf(pod) {
		if declared.Name == target.StrVal {
			return declared.ContainerPort, nil
		}
	}
	return 0, &Error{
		Code:    history.NotFound,
		Message: "recorder pod " + key(pod) + " has no port named " + quotable(target.StrVal),
		Hint:    "Install the recorder's own manifests again: kubectl apply -k deploy/",
	}
}

// podPort returns the port named http, the only port, or the default.
func podPort(pod *corev1.Pod) int32 {
	ports := portsOf(pod)
	for _, port := range ports {
		if port.Name == portName || len(ports) == 1 {
			return port.ContainerPort
		}
	}
	return defaultPort
}

func portsOf(pod *corev1.Pod) (ports []corev1.ContainerPort) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			ports = append(ports, containers[i].Ports...)
		}
	}
	return ports
}
