package restore

import (
	"context"
	"errors"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
)

// The reasons for which an object of a namespace is not restored.
const (
	reasonControllers = "made by controllers"
	reasonFinished    = "had finished, and would run again"
)

// made are the resources whose objects controllers make from others.
var made = []schema.GroupResource{ //nolint:gochecknoglobals // a constant table
	{Group: "coordination.k8s.io", Resource: "leases"},
	{Group: "metrics.k8s.io", Resource: "pods"},
}

// whySkip returns why an object of a namespace is not restored, or "".
func (p *planner) whySkip(ctx context.Context, o *Object) string {
	resource := o.GVR.GroupResource()
	switch {
	case slices.Contains(made, resource), p.isControlled(ctx, o), p.isEndpoints(o),
		manifest.IsMadeForNamespace(resource, o.Name) && isPlain(resource, o.Body):
		return reasonControllers
	case isFinished(o.Body):
		return reasonFinished
	default:
		return ""
	}
}

// IsDerived reports whether an object follows from another one, as far as the
// object alone shows: a controller made it for an owner or for the namespace.
func IsDerived(o *Object) bool {
	resource := o.GVR.GroupResource()
	return slices.Contains(made, resource) || history.IsEventResource(resource) || resource == endpoints ||
		slices.ContainsFunc(items(o.Body, "metadata", "ownerReferences"), isController) ||
		manifest.IsMadeForNamespace(resource, o.Name) && isPlain(resource, o.Body)
}

// isController reports whether a reference to an owner means that the owner's
// controller made the object.
func isController(owner map[string]any) bool { return owner["controller"] == true }

// isPlain reports whether the object that controllers make for a namespace has
// nothing that people added.
func isPlain(resource schema.GroupResource, body map[string]any) bool {
	if resource.Resource == "configmaps" {
		return true
	}
	left := stripped(resource, body)
	for _, field := range []string{"apiVersion", "kind", "secrets"} {
		delete(left, field)
	}
	metadata := object(left, "metadata")
	delete(metadata, "name")
	delete(metadata, "namespace")
	return len(left) == 1 && len(metadata) == 0
}

// isControlled reports whether a controller made an object for an owner that
// exists, or that is restored.
func (p *planner) isControlled(ctx context.Context, o *Object) bool {
	return slices.ContainsFunc(items(o.Body, "metadata", "ownerReferences"), func(owner map[string]any) bool {
		if !isController(owner) {
			return false
		}
		uid := text(owner, "uid")
		return p.uids[uid] != nil || p.existence(ctx, o.Namespace, owner) != absent
	})
}

// keepOwners keeps the references of a new object to owners that exist. The
// garbage collector deletes an object at once if none of its owners exists.
func (p *planner) keepOwners(ctx context.Context, s *Step) {
	var kept []any
	for _, owner := range items(s.Body, "metadata", "ownerReferences") {
		switch p.existence(ctx, s.Namespace, owner) {
		case exists:
			kept = append(kept, runtime.DeepCopyJSONValue(owner))
		case unknown:
			s.note("without its owner %s, which can't be read", ownerName(owner))
		default:
			s.note("without its owner %s, which does not exist any more", ownerName(owner))
		}
	}
	if len(kept) > 0 {
		object(s.Manifest, "metadata")["ownerReferences"] = kept
	}
}

// existence is whether an object exists.
type existence uint8

const (
	absent existence = iota + 1
	exists
	unknown
)

// existence returns whether an owner exists under its UID.
func (p *planner) existence(ctx context.Context, namespace string, owner map[string]any) existence {
	uid := text(owner, "uid")
	if p.owners[uid] != 0 {
		return p.owners[uid]
	}
	resource, namespaced, known := p.ResourceOf(text(owner, "apiVersion"), text(owner, "kind"))
	if !known {
		return absent
	}
	if !namespaced {
		namespace = ""
	}
	live, err := p.reader.Get(ctx, &Object{
		GVR: resource, Kind: text(owner, "kind"), Namespace: namespace, Name: text(owner, "name"),
	})
	found := absent
	switch {
	case err != nil && !errors.Is(err, ErrNotServed):
		found = unknown
	case err == nil && live != nil && text(live, "metadata", "uid") == uid:
		found = exists
	}
	p.owners[uid] = found
	return found
}

// ownerName returns the kind and name of an owner.
func ownerName(owner map[string]any) string {
	return strings.ToLower(text(owner, "kind")) + "/" + text(owner, "name")
}

// isEndpoints reports whether the endpoints controllers make an object: that of
// a Service with a selector.
func (p *planner) isEndpoints(o *Object) bool {
	service := o.Name
	switch o.GVR.GroupResource() {
	case endpoints:
	case schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}:
		service = text(o.Body, "metadata", "labels", "kubernetes.io/service-name")
	default:
		return false
	}
	return slices.ContainsFunc(p.objects, func(other *Object) bool {
		return other.GVR.GroupResource() == services && other.Namespace == o.Namespace && other.Name == service &&
			len(object(other.Body, "spec", "selector")) > 0
	})
}

// isFinished reports whether a Job or a Pod had finished its work.
func isFinished(body map[string]any) bool {
	switch text(body, "kind") {
	case "Pod":
		phase := text(body, "status", "phase")
		return phase == "Succeeded" || phase == "Failed"
	case "Job":
		return slices.ContainsFunc(items(body, "status", "conditions"), func(c map[string]any) bool {
			return (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True"
		})
	default:
		return false
	}
}

// isToken reports whether an object is a Secret in which a controller puts the
// token of a ServiceAccount.
func isToken(resource schema.GroupResource, body map[string]any) bool {
	return resource == secrets && body["type"] == "kubernetes.io/service-account-token" &&
		text(body, "metadata", "annotations", "kubernetes.io/service-account.name") != ""
}
