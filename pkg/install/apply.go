package install

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Result is what a change does to an object, in the words of kubectl.
type Result string

// The results.
const (
	Created    Result = "created"
	Configured Result = "configured"
	Unchanged  Result = "unchanged"
)

// Change is the change of one object.
type Change struct {
	Object *unstructured.Unstructured // as it is applied
	Result Result

	// Unchecked means that the API server has not checked the object, because
	// its namespace does not exist yet.
	Unchecked bool
	// Foreign means that the object is a namespace of another creator.
	// It is not changed.
	Foreign bool
}

// ElsewhereError is the error of installing a recorder next to one in another
// namespace.
type ElsewhereError struct {
	Namespace string // of the other recorder
}

// Error returns a sentence about the other recorder.
func (e *ElsewhereError) Error() string {
	return "a recorder is installed in namespace " + e.Namespace + ", and recorders share their ClusterRoles"
}

// Plan returns the changes that applying the objects would make, in the same
// order. The API server checks them in a dry run. If it rejects some, the error
// has its reason for the first one.
//
// A dry run does not create the namespace. If it does not exist, Plan checks
// only the caller's rights for the objects in it.
//
// With force, fields of other managers are taken over. Otherwise they are
// conflicts.
func (c *Cluster) Plan(ctx context.Context, objects []*unstructured.Unstructured, force bool) ([]Change, error) {
	var changes []Change
	var failure error
	rejected, missing := 0, ""
	for _, object := range objects {
		change, err := c.plan(ctx, object, missing, force)
		if err != nil {
			if history.CodeOf(err) == history.Unavailable { // the others would fail, too
				return nil, err
			}
			if rejected++; failure == nil {
				failure = err
			}
			continue
		}
		if isNamespace(object) && change.Result == Created {
			missing = object.GetName()
		}
		changes = append(changes, change)
	}
	if rejected > 1 {
		failure = fmt.Errorf("%w (and %d other objects)", failure, rejected-1)
	}
	return changes, failure
}

// plan returns the change of one object. The namespace missing does not exist.
func (c *Cluster) plan(
	ctx context.Context, object *unstructured.Unstructured, missing string, force bool,
) (Change, error) {
	change := Change{Object: object}
	resource, client, err := c.resource(object)
	if err != nil {
		return change, err
	}
	if namespace := object.GetNamespace(); namespace != "" && namespace == missing {
		change.Result, change.Unchecked = Created, true
		return change, c.mayApply(ctx, resource, object)
	}
	live, liveErr := get(ctx, client, object.GetName())
	switch {
	case apierrors.IsNotFound(liveErr):
		live, liveErr = nil, nil
	case liveErr == nil && isNamespace(object) && !isOwn(live):
		change.Result, change.Foreign = Unchanged, true
		return change, nil
	case apierrors.IsForbidden(liveErr): // the rights to change it matter more
	case liveErr != nil:
		return change, rejection(resource, object, liveErr)
	}
	if other := elsewhere(live, namespaceOf(object)); other != "" {
		return change, &history.Error{
			Code: history.Invalid, Message: (&ElsewhereError{other}).Error(), Err: &ElsewhereError{other},
		}
	}
	applied, err := apply(ctx, client, object, metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, Force: force})
	if err == nil {
		err = liveErr
	}
	if err != nil {
		return change, rejection(resource, object, err)
	}
	change.Result = compare(live, applied)
	return change, nil
}

// namespaceOf returns the namespace of the service account in a binding of the
// manifests.
func namespaceOf(binding *unstructured.Unstructured) string {
	subjects, _, _ := unstructured.NestedSlice(binding.Object, "subjects")
	for _, s := range subjects {
		if subject, _ := s.(map[string]any); subject != nil {
			namespace, _ := subject["namespace"].(string)
			return namespace
		}
	}
	return ""
}

// mayApply returns an error if the caller may not apply an object. The API
// server decides by the rules of its authorizer, without the object.
func (c *Cluster) mayApply(
	ctx context.Context, resource schema.GroupResource, object *unstructured.Unstructured,
) error {
	for _, verb := range []string{"create", "patch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: object.GetNamespace(), Verb: verb, Group: resource.Group, Resource: resource.Resource,
				Name: object.GetName(),
			},
		}}
		answer, err := c.rights.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return rejection(resource, object, err)
		}
		if !answer.Status.Allowed {
			return history.Errorf(history.Forbidden, "you may not %s %s %q in namespace %s",
				verb, resource, object.GetName(), object.GetNamespace())
		}
	}
	return nil
}

// Apply makes a change of [Cluster.Plan]. It returns its result, which differs
// from the planned one if the object was changed since.
func (c *Cluster) Apply(ctx context.Context, change Change, force bool) (Result, error) {
	if change.Foreign {
		return Unchanged, nil
	}
	resource, client, err := c.resource(change.Object)
	if err != nil {
		return "", err
	}
	live, err := get(ctx, client, change.Object.GetName())
	switch {
	case apierrors.IsNotFound(err):
		live = nil
	case err != nil:
		return "", rejection(resource, change.Object, err)
	}
	applied, err := apply(ctx, client, change.Object, metav1.ApplyOptions{Force: force})
	if err != nil {
		return "", rejection(resource, change.Object, err)
	}
	return compare(live, applied), nil
}

// apply applies an object on the server's side.
func apply(
	ctx context.Context, client dynamic.ResourceInterface, object *unstructured.Unstructured, o metav1.ApplyOptions,
) (*unstructured.Unstructured, error) {
	o.FieldManager = FieldManager
	return client.Apply(ctx, object.GetName(), object.DeepCopy(), o)
}

// compare returns the result of a change, by the object before, or nil, and
// after it. Who manages which fields does not matter.
func compare(before, after *unstructured.Unstructured) Result {
	if before == nil {
		return Created
	}
	content := func(object *unstructured.Unstructured) map[string]any {
		object = object.DeepCopy()
		for _, field := range []string{"managedFields", "resourceVersion", "generation"} {
			unstructured.RemoveNestedField(object.Object, "metadata", field)
		}
		return object.Object
	}
	if reflect.DeepEqual(content(before), content(after)) {
		return Unchanged
	}
	return Configured
}

// rejection returns the error of a request about an object, with the words of
// the API server.
func rejection(resource schema.GroupResource, object *unstructured.Unstructured, err error) error {
	code := history.Unavailable
	switch reason := apierrors.ReasonForError(err); {
	case reason == metav1.StatusReasonForbidden:
		code = history.Forbidden
	case reason == metav1.StatusReasonUnauthorized:
		code = history.Unauthorized
	case slices.Contains([]metav1.StatusReason{
		metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonConflict,
	}, reason):
		code = history.Invalid
	}
	message := strings.Join(strings.Fields(err.Error()), " ") // conflicts are a list
	if !strings.Contains(message, strconv.Quote(object.GetName())) {
		message = fmt.Sprintf("%s %q: %s", resource, object.GetName(), message)
	}
	return &history.Error{Code: code, Message: message, Err: err}
}

// IsReady reports whether the recorder's StatefulSet runs its newest revision,
// and its pod is ready.
func (c *Cluster) IsReady(ctx context.Context, namespace string) (bool, error) {
	at := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet"}}
	at.SetNamespace(namespace)
	at.SetName(Name)
	resource, client, err := c.resource(at)
	if err != nil {
		return false, err
	}
	live, err := get(ctx, client, Name)
	if err != nil {
		return false, rejection(resource, at, err)
	}
	var set appsv1.StatefulSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &set); err != nil {
		return false, fmt.Errorf("read StatefulSet %s/%s: %w", namespace, Name, err)
	}
	status := &set.Status
	return status.ObservedGeneration >= set.Generation && status.UpdateRevision == status.CurrentRevision &&
		status.ReadyReplicas > 0, nil
}
