package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
)

// FieldManager is the field manager of all writes.
const FieldManager = "kubectl-watchhistory"

// The errors of this package. All others are those of the API server.
var (
	// ErrNotServed means that the API server does not serve an object's type.
	ErrNotServed = errors.New("the server does not serve this type")
	// ErrChanged means that an object was changed after the plan was made.
	ErrChanged = errors.New("the object was changed in the meantime")
	// ErrBeingDeleted means that the deletion of an object has begun.
	ErrBeingDeleted = errors.New("the object is being deleted")
)

// Cluster reads and writes objects with the rights of a configuration. Its
// methods may be used concurrently.
type Cluster struct{ client dynamic.Interface }

// NewCluster returns the cluster of a configuration.
func NewCluster(config *rest.Config) (*Cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &Cluster{client}, nil
}

// resource returns the client of an object's resource.
func (c *Cluster) resource(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(resource)
	}
	return c.client.Resource(resource).Namespace(namespace)
}

// Get implements [Reader].
func (c *Cluster) Get(ctx context.Context, o *Object) (map[string]any, error) {
	found, err := c.resource(o.GVR, o.Namespace).Get(ctx, o.Name, metav1.GetOptions{})
	switch {
	case isNotServed(err):
		return nil, ErrNotServed
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return found.Object, nil
}

// List implements [Reader].
func (c *Cluster) List(
	ctx context.Context, resource schema.GroupVersionResource, namespace string,
) (all []map[string]any, err error) {
	found, err := c.resource(resource, namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range found.Items {
		all = append(all, found.Items[i].Object)
	}
	return all, nil
}

// isNotServed reports whether an error means that the API server has no
// resource under a path.
func isNotServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// Check sends a step to the API server as a dry run, and stores the answer in
// the step: what the object would be, or the error. An object in a namespace
// that does not exist, or of a type that is not served, can't be checked.
func (c *Cluster) Check(ctx context.Context, s *Step) {
	if s.Err != nil || !s.Action.Writes() {
		return
	}
	after, err := c.write(ctx, s, []string{metav1.DryRunAll})
	for attempt := 1; apierrors.IsConflict(err) && s.Action != Create && attempt < maxAttempts; attempt++ {
		if err = c.renew(ctx, s); err == nil {
			after, err = c.write(ctx, s, []string{metav1.DryRunAll})
		}
	}
	switch {
	case isNotServed(err), isNoNamespace(err, s.Namespace), isNoDryRun(err):
		s.Unchecked = true
	case err != nil:
		s.Err = err
	default:
		s.After = after
		if s.Action == Update && same(s.GVR.GroupResource(), s.Before, after) {
			s.Action = None // only defaults of the server differ
		}
	}
}

// isNoNamespace reports whether an error means that a namespace does not exist.
func isNoNamespace(err error, namespace string) bool {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) || !apierrors.IsNotFound(err) || namespace == "" {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Kind == "namespaces" && details.Name == namespace
}

// isAbout reports whether the text of an error contains a phrase.
func isAbout(err error, phrase string) bool {
	return err != nil && strings.Contains(err.Error(), phrase)
}

// isNoDryRun reports whether an error means that a webhook does not support dry
// runs.
func isNoDryRun(err error) bool {
	return apierrors.IsBadRequest(err) && isAbout(err, "does not support dry run")
}

// Waiting for a new type, and retries of an update whose object a controller
// changes.
const (
	typePatience = 30 * time.Second
	typePeriod   = 200 * time.Millisecond
	maxAttempts  = 5
)

// Apply does a step. It reports whether the object was changed: an update that
// changes nothing is not recorded by the API server.
//
// A definition of a type is established when Apply returns, and an object whose
// type is new is created once the type is served.
func (c *Cluster) Apply(ctx context.Context, s *Step) (changed bool, err error) {
	if s.Err != nil {
		return false, s.Err
	}
	deadline := time.Now().Add(typePatience)
	for attempt := 1; ; attempt++ {
		after, err := c.write(ctx, s, nil)
		switch {
		case err == nil:
			s.After = after
			changed = s.Action == Create ||
				text(after, "metadata", "resourceVersion") != text(s.Before, "metadata", "resourceVersion")
			return changed, c.established(ctx, s)
		case isNotServed(err) && s.NewType && time.Now().Before(deadline):
			if err := wait(ctx, typePeriod); err != nil {
				return false, err
			}
		case apierrors.IsConflict(err) && s.Action != Create && attempt < maxAttempts:
			if err := c.renew(ctx, s); err != nil {
				return false, err
			}
		case apierrors.IsAlreadyExists(err) && manifest.IsMadeForNamespace(s.GVR.GroupResource(), s.Name):
			live, err := c.Get(ctx, &s.Object)
			if err != nil || live == nil {
				return false, cmp.Or(err, ErrChanged)
			}
			s.Action = Update
			s.setBack(live)
		case apierrors.IsAlreadyExists(err):
			return false, ErrChanged
		case isNotServed(err):
			return false, ErrNotServed
		default:
			return false, err
		}
	}
}

// renew reads an object again of which a controller has changed the status. It
// fails if more than that was changed. A volume may have any change that leaves
// it with the deleted claim.
func (c *Cluster) renew(ctx context.Context, s *Step) error {
	live, err := c.Get(ctx, &s.Object)
	if err != nil {
		return err
	}
	if s.Action == Release {
		if s.Before = live; !s.names(live) || IsBeingDeleted(live) {
			return ErrChanged
		}
		return nil
	}
	before := runtime.DeepCopyJSON(s.Before)
	if replicas := at(live, "spec", "replicas"); s.keepReplicas && replicas != nil {
		object(before, "spec")["replicas"] = replicas
	}
	if live == nil || text(live, "metadata", "uid") != text(before, "metadata", "uid") ||
		!same(s.GVR.GroupResource(), before, live) {
		return ErrChanged
	}
	s.setBack(live)
	return nil
}

// write does the action of a step. If the API server rejects the
// addresses that a Service had, it creates the Service without them.
func (c *Cluster) write(ctx context.Context, s *Step, dryRun []string) (after map[string]any, err error) {
	if s.Action == Release {
		return c.release(ctx, s, dryRun)
	}
	resource := c.resource(s.GVR, s.Namespace)
	send := func(body map[string]any) (*unstructured.Unstructured, error) {
		o := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(body)}
		if s.Action == Update {
			return resource.Update(ctx, o, metav1.UpdateOptions{DryRun: dryRun, FieldManager: FieldManager})
		}
		return resource.Create(ctx, o, metav1.CreateOptions{DryRun: dryRun, FieldManager: FieldManager})
	}
	if s.Addressed != nil {
		found, err := send(s.Addressed)
		if !apierrors.IsInvalid(err) {
			return bodyOf(found, err)
		}
		s.Addressed, s.NewAddresses = nil, true
	}
	return bodyOf(send(s.Manifest))
}

// bodyOf returns the body of an answer.
func bodyOf(o *unstructured.Unstructured, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	return o.Object, nil
}

// established waits until the type of a new definition is served.
func (c *Cluster) established(ctx context.Context, s *Step) error {
	if s.GVR.GroupResource() != Definitions || s.Action != Create {
		return nil
	}
	deadline := time.Now().Add(typePatience)
	for {
		body, err := c.Get(ctx, &s.Object)
		if err != nil {
			return err
		}
		for _, condition := range items(body, "status", "conditions") {
			if condition["type"] == "Established" && condition["status"] == "True" {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("its type is not established after %s", typePatience)
		}
		if err := wait(ctx, typePeriod); err != nil {
			return err
		}
	}
}

// wait waits for a time, or until ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
