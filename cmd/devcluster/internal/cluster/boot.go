package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/kube"
)

const (
	// bootPatience is many times the duration of a start on an idle machine,
	// because the machine may be busy with several builds.
	bootPatience = 3 * time.Minute
	probePause   = 50 * time.Millisecond
)

// boot starts the components in order and returns when the cluster is ready:
// all components pass their health checks, and kwok's nodes are Ready.
func (s *supervisor) boot(ctx context.Context, start func(component string)) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, bootPatience,
		fmt.Errorf("not ready after %s", bootPatience))
	defer cancel()

	s.observer.Progress("starting etcd and kube-apiserver")
	start(Etcd)
	start(APIServer)
	config, err := kube.Config(s.layout.admin(), "devcluster")
	if err != nil {
		return err
	}
	if err := s.waitFor(ctx, APIServer, func(ctx context.Context) error {
		return probe(ctx, config, s.ports.apiServer, "/readyz")
	}); err != nil {
		return err
	}
	if err := s.bootRest(ctx, config, start); err != nil {
		return err
	}
	if err := s.update(func(state *State) { state.Ready = true }); err != nil {
		return err
	}
	s.observer.Progress(fmt.Sprintf("ready in %.1fs", time.Since(began).Seconds()))
	s.observer.Ready(s.snapshot())
	return nil
}

// bootRest starts the components that need an API server.
func (s *supervisor) bootRest(ctx context.Context, config *rest.Config, start func(string)) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	if err := createNodes(ctx, client, s.spec.Nodes); err != nil {
		return err
	}
	if err := createNamespace(ctx, client); err != nil {
		return err
	}
	rest := s.spec.Components[2:]
	if len(rest) > 0 {
		s.observer.Progress("starting " + strings.Join(rest, ", "))
	}
	for _, component := range rest {
		start(component)
	}
	for _, component := range rest {
		check := func(ctx context.Context) error {
			err := probe(ctx, config, s.ports.of(component), "/healthz")
			if err == nil && component == Kwok {
				err = nodesReady(ctx, client, s.spec.runs(ControllerManager))
			}
			return err
		}
		if err := s.waitFor(ctx, component, check); err != nil {
			return err
		}
	}
	return nil
}

// createNamespace creates the namespace of the recorder's manifests. A
// server-side dry run of the manifests fails without it.
func createNamespace(ctx context.Context, client kubernetes.Interface) error {
	const name = "watchhistory"
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		// As if created by kubectl apply, so that kubectl apply can update it.
		Annotations: map[string]string{
			corev1.LastAppliedConfigAnnotation: `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` +
				name + `"}}`,
		},
	}}
	_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: "devcluster"})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// waitFor repeats check until it succeeds. Its error contains the last failure
// and the end of the component's log.
func (s *supervisor) waitFor(ctx context.Context, component string, check func(context.Context) error) error {
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if sleep(ctx, probePause) != nil {
			return fmt.Errorf("wait for %s: %w: %w\n%s",
				component, context.Cause(ctx), err, tail(s.layout.log(component)))
		}
	}
}

// probe requests a health endpoint with the administrator's certificate.
func probe(ctx context.Context, config *rest.Config, port int, path string) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url(port)+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
		return errors.Join(fmt.Errorf("%s says %s: %s", path, response.Status, body), err)
	}
	return nil
}

// nodesReady succeeds once the nodes are ready and have no taint. The
// controller manager removes the taint a moment after a node becomes ready.
func nodesReady(ctx context.Context, client kubernetes.Interface, schedulable bool) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	for _, node := range nodes.Items {
		if !nodeReady(node) {
			return fmt.Errorf("%s is not ready", node.Name)
		}
		if schedulable && len(node.Spec.Taints) > 0 {
			return fmt.Errorf("%s is tainted with %s", node.Name, node.Spec.Taints[0].Key)
		}
	}
	return nil
}

func nodeReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
