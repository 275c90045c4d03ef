package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// FieldManager is the field manager of all changes.
const FieldManager = "kubectl-watchhistory"

// The labels of all objects of the manifests, and of the claim for the volume.
const (
	partLabel, partOf = "app.kubernetes.io/part-of", "watchhistory"
	nameLabel         = "app.kubernetes.io/name"
)

// Cluster changes a cluster with the rights of a caller.
type Cluster struct {
	mapper    meta.RESTMapper
	discovery discovery.DiscoveryInterface
	objects   dynamic.Interface
	rights    authorizationv1client.AuthorizationV1Interface
}

// NewCluster returns the cluster of a configuration. mapper and discovered
// resolve the types of the same cluster.
func NewCluster(
	config *rest.Config, mapper meta.RESTMapper, discovered discovery.DiscoveryInterface,
) (*Cluster, error) {
	c := &Cluster{mapper: mapper, discovery: discovered}
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server limits requests itself
	var err error
	if c.objects, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("use cluster configuration: %w", err)
	}
	if c.rights, err = authorizationv1client.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("use cluster configuration: %w", err)
	}
	return c, nil
}

// resource returns the resource of an object's kind, and the client for it.
func (c *Cluster) resource(object *unstructured.Unstructured) (
	schema.GroupResource, dynamic.ResourceInterface, error,
) {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return schema.GroupResource{}, nil, &history.Error{
			Code: history.Unavailable, Message: fmt.Sprintf("find the resource of %s: %v", kind.Kind, err), Err: err,
		}
	}
	var client dynamic.ResourceInterface = c.objects.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		client = c.objects.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	return mapping.Resource.GroupResource(), client, nil
}

// NameOf returns the name of an object as kubectl prints it:
// "statefulset.apps/web".
func NameOf(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	name := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		name += "." + kind.Group
	}
	return name + "/" + object.GetName()
}

// isNamespace reports whether an object is a Namespace.
func isNamespace(object *unstructured.Unstructured) bool {
	return object.GroupVersionKind().GroupKind() == schema.GroupKind{Kind: "Namespace"}
}

// isOwn reports whether this package created a namespace: it never applies one
// that exists already.
func isOwn(namespace *unstructured.Unstructured) bool {
	return slices.ContainsFunc(namespace.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == FieldManager && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
	})
}

// elsewhere returns the namespace of the recorder to which a ClusterRoleBinding
// belongs, if that is another one. Recorders in several namespaces would share
// the binding.
func elsewhere(binding *unstructured.Unstructured, namespace string) string {
	if binding == nil || binding.GetKind() != "ClusterRoleBinding" {
		return ""
	}
	subjects, _, _ := unstructured.NestedSlice(binding.Object, "subjects")
	for _, s := range subjects {
		subject, _ := s.(map[string]any)
		if other, _ := subject["namespace"].(string); other != "" && other != namespace {
			return other
		}
	}
	return ""
}

// get returns an object as it is in the cluster.
func get(ctx context.Context, client dynamic.ResourceInterface, name string) (*unstructured.Unstructured, error) {
	return client.Get(ctx, name, metav1.GetOptions{})
}
