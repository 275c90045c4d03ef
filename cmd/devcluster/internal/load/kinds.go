package load

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/kube"
)

// manager is the field manager of all writes except those of pod statuses,
// which have the kubelet's.
const manager = "devcluster-load"

// kind writes objects of one resource. Its methods return the server's version.
type kind interface {
	resource() schema.GroupVersionResource
	create(ctx context.Context, name string) (metav1.Object, error)
	// update makes the nth update of the object. Every update changes the
	// object.
	update(ctx context.Context, current metav1.Object, n int) (metav1.Object, error)
	delete(ctx context.Context, current metav1.Object) error
	get(ctx context.Context, name string) (metav1.Object, error)
}

// marker is a kind whose objects must be marked for deletion before they are
// deleted. Marking is a write that a watch shows as an update.
type marker interface {
	mark(ctx context.Context, current metav1.Object) (metav1.Object, error)
}

// Kinds returns the resources that Options.Kinds may contain.
func Kinds() []string { return []string{"pods", "configmaps", "secrets", "widgets"} }

// widget is the custom resource under load.
func widget() kube.Resource {
	return kube.Resource{
		Group: "load.devcluster.dev", Version: "v1", Plural: "widgets", Singular: "widget", Kind: "Widget",
	}
}

// open creates the namespace and the custom resource if necessary, and returns
// the kinds in the order of Options.Kinds.
func open(ctx context.Context, config *rest.Config, o Options) ([]kind, error) {
	customConfig := rest.CopyConfig(config)
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	custom, err := dynamic.NewForConfig(customConfig)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.Namespace}}
	_, err = client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("create namespace: %w", err)
	}
	var kinds []kind
	for _, name := range o.Kinds {
		k, err := openKind(ctx, name, client, custom, o.Namespace)
		if err != nil {
			return nil, err
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

func openKind(
	ctx context.Context, name string, client kubernetes.Interface, custom dynamic.Interface, namespace string,
) (kind, error) {
	core := client.CoreV1()
	switch name {
	case "pods":
		return pods{core.Pods(namespace), core.RESTClient(), namespace}, nil
	case "configmaps":
		return configMaps{core.ConfigMaps(namespace)}, nil
	case "secrets":
		return secrets{core.Secrets(namespace)}, nil
	case "widgets":
		if err := kube.Define(ctx, custom, widget(), manager); err != nil {
			return nil, err
		}
		return widgets{custom.Resource(widget().GVR()).Namespace(namespace)}, nil
	}
	return nil, fmt.Errorf("unknown kind %q: choose from %s", name, strings.Join(Kinds(), ", "))
}

func createOptions() metav1.CreateOptions { return metav1.CreateOptions{FieldManager: manager} }
func updateOptions() metav1.UpdateOptions { return metav1.UpdateOptions{FieldManager: manager} }

// copied returns a copy of current, which must be a T.
func copied[T interface {
	metav1.Object
	DeepCopy() T
}](current metav1.Object) (T, error) {
	object, ok := current.(T)
	if !ok {
		return object, fmt.Errorf("%s is a %T", current.GetName(), current)
	}
	return object.DeepCopy(), nil
}

// payload returns a text of about 1.5 kB. The texts of two n differ in a few
// bytes, as versions of a configuration do.
func payload(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "generation = %d\n", n)
	for i := range 20 {
		fmt.Fprintf(&b, "setting.%04d = value that was chosen once and never touched again since\n", i)
	}
	return b.String()
}
