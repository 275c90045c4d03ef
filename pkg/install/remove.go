package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// authoritiesName is the ConfigMap that the recorder makes.
const authoritiesName = "watchhistory-recorder-ca"

// Removal is what happens to one object when a recorder is removed.
type Removal struct {
	Object *unstructured.Unstructured // as it is in the cluster
	// Kept is why the object is not deleted. It is empty if it is.
	Kept string
}

// KeptHistory is why the volume with the history is kept.
const KeptHistory = "the history"

// PlanRemoval returns the objects of the recorder in a namespace, in the order
// in which they are deleted, also those that are kept. With withHistory, the
// volume is deleted.
//
// Objects without the label of the manifests are kept, and so are ClusterRoles
// that a recorder in another namespace uses.
func (c *Cluster) PlanRemoval(ctx context.Context, namespace string, withHistory bool) ([]Removal, error) {
	every, err := Build(Options{Namespace: namespace, Readers: []string{"any"}})
	if err != nil {
		return nil, err
	}
	own := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
	own.SetNamespace(namespace)
	own.SetName(authoritiesName)
	var removals []Removal
	var last *unstructured.Unstructured // the namespace
	for _, object := range slices.Backward(append([]*unstructured.Unstructured{own}, every.Objects...)) {
		live, err := c.live(ctx, object)
		switch {
		case err != nil:
			return nil, err
		case live == nil:
		case isNamespace(live):
			last = live
		case object != own && live.GetLabels()[partLabel] != partOf:
			removals = append(removals, Removal{live, "it does not have the label " + partLabel + "=" + partOf})
		default:
			removals = append(removals, Removal{Object: live})
		}
	}
	keepShared(removals, namespace)
	claims, err := c.claims(ctx, namespace)
	if err != nil {
		return nil, err
	}
	for _, claim := range claims {
		kept := KeptHistory
		if withHistory {
			kept = ""
		}
		removals = append(removals, Removal{claim, kept})
	}
	if last != nil && (len(removals) > 0 || isOwn(last)) {
		removals = append(removals, Removal{last, c.keepsNamespace(ctx, last, removals)})
	}
	return removals, nil
}

// live returns an object as it is in the cluster, or nil.
func (c *Cluster) live(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	resource, client, err := c.resource(object)
	if err != nil {
		return nil, err
	}
	live, err := get(ctx, client, object.GetName())
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // there is no object
	case err != nil:
		return nil, rejection(resource, object, err)
	default:
		return live, nil
	}
}

// keepShared keeps the ClusterRoles and their bindings if a recorder in another
// namespace uses them.
func keepShared(removals []Removal, namespace string) {
	used := map[string]string{} // by the name of the role and of its binding
	for _, r := range removals {
		if other := elsewhere(r.Object, namespace); other != "" {
			used[r.Object.GetName()] = other
		}
	}
	for i, r := range removals {
		if other := used[r.Object.GetName()]; other != "" && strings.HasPrefix(r.Object.GetKind(), "ClusterRole") {
			removals[i].Kept = "the recorder in namespace " + other + " uses it"
		}
	}
}

// claims returns the claims for the recorder's volumes.
func (c *Cluster) claims(ctx context.Context, namespace string) (claims []*unstructured.Unstructured, err error) {
	list, err := c.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}).
		Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: nameLabel + "=" + Name})
	if err != nil {
		return nil, fmt.Errorf("look for the recorder's volumes: %w", err)
	}
	for i := range list.Items {
		claims = append(claims, &list.Items[i])
	}
	return claims, nil
}

// keepsNamespace returns why a namespace is kept, or "" if it is deleted.
func (c *Cluster) keepsNamespace(
	ctx context.Context, namespace *unstructured.Unstructured, removals []Removal,
) string {
	if !isOwn(namespace) {
		return "it was not created by this program"
	}
	deleted := map[string]bool{}
	for _, r := range removals {
		if r.Kept == KeptHistory {
			return "it contains the history"
		}
		deleted[string(r.Object.GetUID())] = r.Kept == ""
	}
	others, err := c.others(ctx, namespace.GetName(), deleted)
	switch {
	case err != nil:
		return "what else is in it is not known: " + strings.Join(strings.Fields(err.Error()), " ")
	case len(others) == 1:
		return "it contains " + others[0]
	case len(others) > 1:
		return fmt.Sprintf("it contains %s and %d other objects", others[0], len(others)-1)
	default:
		return ""
	}
}

// others returns the names of the objects in a namespace that are not in
// deleted, by UID, and that do not go with these.
//
// Controllers own what they make, and the control plane makes some objects in
// every namespace. Types that can't be listed have no objects to lose.
func (c *Cluster) others(ctx context.Context, namespace string, deleted map[string]bool) (names []string, err error) {
	lists, err := discovery.ServerPreferredNamespacedResources(c.discovery)
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "delete") ||
				isBookkeeping(version.Group, r.Name) {
				continue
			}
			objects, err := c.objects.Resource(version.WithResource(r.Name)).Namespace(namespace).
				List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, err
			}
			for j := range objects.Items {
				if object := &objects.Items[j]; !deleted[string(object.GetUID())] && !isDerived(object) {
					names = append(names, NameOf(object))
				}
			}
		}
	}
	return names, nil
}

// isBookkeeping reports whether the control plane writes the objects of a type
// about other objects.
func isBookkeeping(group, resource string) bool {
	switch resource {
	case "events", "leases":
		return true
	case "endpoints":
		return group == ""
	default:
		return false
	}
}

// isDerived reports whether an object has an owner, or is made in every
// namespace.
func isDerived(object *unstructured.Unstructured) bool {
	if len(object.GetOwnerReferences()) > 0 {
		return true
	}
	switch NameOf(object) {
	case "configmap/kube-root-ca.crt", "serviceaccount/default":
		return true
	default:
		return false
	}
}

// CheckRemovals returns an error if the API server rejects a deletion in a dry
// run. The error has its reason for the first one.
func (c *Cluster) CheckRemovals(ctx context.Context, removals []Removal) error {
	for _, r := range removals {
		if err := c.delete(ctx, r, metav1.DryRunAll); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes the object of a removal, unless it is kept. It returns nil if
// the object does not exist any more.
func (c *Cluster) Remove(ctx context.Context, r Removal) error { return c.delete(ctx, r) }

// delete deletes the object of a removal, if it is still the same one.
func (c *Cluster) delete(ctx context.Context, r Removal, dryRun ...string) error {
	if r.Kept != "" {
		return nil
	}
	resource, client, err := c.resource(r.Object)
	if err != nil {
		return err
	}
	uid, background := r.Object.GetUID(), metav1.DeletePropagationBackground
	err = client.Delete(ctx, r.Object.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background, DryRun: dryRun,
	})
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return rejection(resource, r.Object, err)
}

// IsElsewhere returns the namespace of another recorder if that is why an
// object was rejected.
func IsElsewhere(err error) (namespace string, ok bool) {
	if other, ok := errors.AsType[*ElsewhereError](err); ok {
		return other.Namespace, true
	}
	return "", false
}
