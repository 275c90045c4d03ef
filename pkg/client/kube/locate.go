package kube

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

	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// ServiceSelector is the label of a recorder's Service and of its pods.
const ServiceSelector = "app.kubernetes.io/name=watchhistory-recorder"

// DefaultNamespace is the namespace in which a recorder is looked for first.
const DefaultNamespace = "watchhistory"

const (
	secureName  = "https" // the port of the API with TLS
	portName    = "http"  // the port of the API without TLS, if there are several
	defaultPort = 8080    // of a pod that declares none
	maxListed   = 100     // objects per list
)

// backend is a recorder in a cluster: a Service with its pods, or only pods.
type backend struct {
	namespace, name string
	service         *corev1.Service // nil if there are only pods
	secure          bool            // the port of the API is the one with TLS
}

// String returns "namespace/name".
func (p *backend) String() string { return p.namespace + "/" + p.name }

// locate returns the recorder in a namespace. An empty namespace means
// [DefaultNamespace] or, if that has no recorder, all namespaces.
//
// It is an error if there is no recorder, or more than one.
func locate(ctx context.Context, core corev1client.CoreV1Interface, namespace string) (*backend, error) {
	if namespace != "" {
		return locateIn(ctx, core, namespace)
	}
	found, err := locateIn(ctx, core, DefaultNamespace)
	if err == nil || history.CodeOf(err) != history.NotFound && !lacksPermission(err) {
		return found, err
	}
	elsewhere, widerErr := locateIn(ctx, core, metav1.NamespaceAll)
	switch {
	case history.CodeOf(widerErr) != history.Forbidden:
		return elsewhere, widerErr
	case history.CodeOf(err) == history.Forbidden:
		return nil, err
	default:
		return nil, &history.Error{
			Code: history.NotFound,
			Message: "no watchhistory recorder found in namespace " + DefaultNamespace +
				", and you may not look in all namespaces",
			Err: &ConnectError{Reason: NotFoundHere, Namespace: DefaultNamespace, Err: widerErr},
		}
	}
}

// locateIn looks for a Service. If there is none, or if Services may not be
// listed, it looks for pods with the same label. A port can be forwarded to a
// pod without a Service.
func locateIn(ctx context.Context, core corev1client.CoreV1Interface, namespace string) (*backend, error) {
	found, err := locateService(ctx, core, namespace)
	if err == nil || history.CodeOf(err) != history.NotFound && !lacksPermission(err) {
		return found, err
	}
	pods, podsErr := listPods(ctx, core, namespace, ServiceSelector)
	if podsErr != nil || len(pods) == 0 {
		return nil, err
	}
	backends := make([]*backend, len(pods))
	for i := range pods {
		_, secure := declaredPort(&pods[i], secureName)
		backends[i] = &backend{namespace: pods[i].Namespace, name: pods[i].Name, secure: secure}
	}
	if slices.ContainsFunc(backends, func(p *backend) bool { return p.namespace != backends[0].namespace }) {
		return nil, ambiguous(backends)
	}
	return backends[0], nil
}

// locateService looks for a Service with the recorder's label. If there are
// several for one recorder, it returns the preferred one.
func locateService(ctx context.Context, core corev1client.ServicesGetter, namespace string) (*backend, error) {
	list, err := core.Services(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: ServiceSelector, Limit: maxListed})
	if err != nil {
		return nil, apiFailure("look for the recorder's Service", err, forwardRole(cmp.Or(namespace, DefaultNamespace)))
	}
	if len(list.Items) == 0 {
		where := "the cluster"
		if namespace != "" {
			where = "namespace " + namespace
		}
		return nil, &history.Error{
			Code:    history.NotFound,
			Message: "no watchhistory recorder found in " + where,
			Err:     &ConnectError{Reason: NotInstalled, Namespace: namespace},
		}
	}
	slices.SortFunc(list.Items, preferred)
	best := &list.Items[0]
	var backends []*backend
	for i := range list.Items {
		s := &list.Items[i]
		port, err := apiPort(s)
		backends = append(backends, &backend{
			namespace: s.Namespace, name: s.Name, service: s, secure: err == nil && port.Name == secureName,
		})
	}
	if slices.ContainsFunc(backends, func(p *backend) bool { return !samePods(p.service, best) }) {
		return nil, ambiguous(backends)
	}
	return backends[0], nil
}

// preferred orders Services: those with a port of the API come first, with TLS
// before without, and of these those with a cluster IP.
func preferred(a, b corev1.Service) int {
	rank := func(s corev1.Service) (n int) {
		switch port, err := apiPort(&s); {
		case err != nil:
			n += 4
		case port.Name != secureName:
			n += 2
		}
		if s.Spec.ClusterIP == corev1.ClusterIPNone {
			n++
		}
		return n
	}
	return cmp.Or(rank(a)-rank(b), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// samePods reports whether two Services belong to the same recorder. A
// StatefulSet often has a headless Service next to the other one.
func samePods(a, b *corev1.Service) bool {
	return a.Namespace == b.Namespace && (a.Name == b.Name ||
		len(a.Spec.Selector) > 0 && labels.Equals(a.Spec.Selector, b.Spec.Selector))
}

// ambiguous returns the error for several recorders, which names all of them.
func ambiguous(backends []*backend) error {
	names := make([]string, len(backends))
	for i, p := range backends {
		names[i] = p.String()
	}
	slices.Sort(names)
	return &history.Error{
		Code:    history.Invalid,
		Message: "several watchhistory recorders found: " + strings.Join(names, ", "),
		Err:     &ConnectError{Reason: Ambiguous},
	}
}

// listPods returns the first maxListed pods that a label selector selects.
func listPods(ctx context.Context, core corev1client.PodsGetter, namespace, selector string) ([]corev1.Pod, error) {
	list, err := core.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: maxListed})
	if err != nil {
		return nil, apiFailure("look for the recorder's pod", err, forwardRole(cmp.Or(namespace, DefaultNamespace)))
	}
	return list.Items, nil
}

// apiPort returns the Service's port of the API: the one named https, or the
// one named http, or the only one.
func apiPort(service *corev1.Service) (*corev1.ServicePort, error) {
	ports := service.Spec.Ports
	for i := range ports {
		if ports[i].Name == secureName {
			return &ports[i], nil
		}
	}
	for i := range ports {
		if ports[i].Name == portName || len(ports) == 1 {
			return &ports[i], nil
		}
	}
	return nil, &history.Error{
		Code:    history.NotFound,
		Message: "Service " + key(service) + " has no port named " + secureName + " or " + portName,
		Err:     &ConnectError{Reason: WrongService, Namespace: service.Namespace},
	}
}

// portKey returns how the path of the Service proxy names a port.
func portKey(port *corev1.ServicePort) string {
	if port.Name != "" {
		return port.Name
	}
	return strconv.Itoa(int(port.Port))
}

// key returns an object as "namespace/name".
func key(object metav1.Object) string { return object.GetNamespace() + "/" + object.GetName() }

// portOf returns the number of the pod's port on which the API listens. It is
// never the port without TLS if the backend is secure.
func (p *backend) portOf(pod *corev1.Pod) (int32, error) {
	named := secureName
	if p.service != nil {
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
		named = target.StrVal
	} else if !p.secure {
		return plainPort(pod), nil
	}
	if port, ok := declaredPort(pod, named); ok {
		return port, nil
	}
	return 0, &history.Error{
		Code:    history.NotFound,
		Message: "recorder pod " + key(pod) + " has no port named " + quote.Line(named),
		Err:     &ConnectError{Reason: WrongService, Namespace: pod.Namespace},
	}
}

// declaredPort returns the pod's port with a name, and whether there is one.
func declaredPort(pod *corev1.Pod, name string) (int32, bool) {
	for _, port := range portsOf(pod) {
		if port.Name == name {
			return port.ContainerPort, true
		}
	}
	return 0, false
}

// plainPort returns the port named http, or the only port, or the default port.
func plainPort(pod *corev1.Pod) int32 {
	if port, ok := declaredPort(pod, portName); ok {
		return port
	}
	if ports := portsOf(pod); len(ports) == 1 {
		return ports[0].ContainerPort
	}
	return defaultPort
}

// portsOf returns the ports that a pod's containers declare. Init containers
// may be sidecars, so theirs come last.
func portsOf(pod *corev1.Pod) (ports []corev1.ContainerPort) {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			ports = append(ports, containers[i].Ports...)
		}
	}
	return ports
}
