package fold

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/summary"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// ClassOf returns the class of a version. The record must have its object, its
// managers and its summary. c is the comparison with the previous version, or
// nil if that is not available.
//
// A consequence is an onset if the version has a problem and the previous one
// had none. These are consequences:
//
//   - versions of objects that Kubernetes derives from others, such as Events
//   - objects that existed when recording began: nothing changed
//   - changes of status, and the bookkeeping of Kubernetes; on a node, a change
//     of a condition is a root change
//   - versions of objects that a controller owns, unless a person wrote outside
//     of the status
//   - objects that a controller of Kubernetes makes for another object
func ClassOf(r *history.Record, c *summary.Comparison) history.Class {
	switch {
	case !isConsequence(r, c):
		return history.Root
	case !r.Initial && r.Verb != history.Delete && summary.ProblemBegins(r, c):
		return history.Onset
	default:
		return history.Consequence
	}
}

// isConsequence reports whether a version follows from another change.
func isConsequence(r *history.Record, c *summary.Comparison) bool {
	resource := r.Ref.GroupResource()
	switch {
	case r.Initial, slices.Contains(derived, resource), history.IsEventResource(resource):
		return true
	case r.Verb == history.Update && c != nil && !changesIntent(resource, c):
		return true
	case len(r.Owners) > 0 && isControlled(r.Object):
		return r.Verb != history.Update || !isByPerson(r.Managers)
	case r.Verb == history.Create:
		return isMadeForAnother(r)
	default:
		return false
	}
}

// derived are the resources whose objects the control plane and the kubelets
// derive from other objects.
var derived = []schema.GroupResource{ //nolint:gochecknoglobals // a constant table
	{Resource: "endpoints"},
	{Group: "discovery.k8s.io", Resource: "endpointslices"},
	{Group: "coordination.k8s.io", Resource: "leases"},
	{Group: "storage.k8s.io", Resource: "volumeattachments"},
	{Group: "storage.k8s.io", Resource: "csistoragecapacities"},
	{Group: "storage.k8s.io", Resource: "csinodes"},
	{Group: "networking.k8s.io", Resource: "ipaddresses"},
}

// changesIntent reports whether an update changed anything but status and
// bookkeeping. A change of a node's condition counts.
func changesIntent(resource schema.GroupResource, c *summary.Comparison) bool {
	isNode := resource == nodes
	return slices.ContainsFunc(c.Changes(), func(change diff.Change) bool {
		switch {
		case change.Path.Below("status"):
			return isNode && isTransition(change)
		case change.Noise():
			return false
		default:
			return !isBookkeeping(resource, change)
		}
	})
}

// IsDerived reports whether an object follows from another one, as far as its
// record shows without the object: Kubernetes derives it or makes it for each
// namespace, or it has an owner.
func IsDerived(r *history.Record) bool {
	resource := r.Ref.GroupResource()
	return len(r.Owners) > 0 || slices.Contains(derived, resource) || history.IsEventResource(resource) ||
		isMadeForNamespace(r.Ref)
}

// isMadeForNamespace reports whether the controllers of Kubernetes make the
// object for each namespace.
func isMadeForNamespace(o history.ObjectRef) bool {
	return o.GroupResource() == configMaps && o.Name == "kube-root-ca.crt" ||
		o.GroupResource() == serviceAccounts && o.Name == "default"
}

// The remainders of [Remainder]. The texts are part of the REST API.
const (
	StatusRemains  = "status"
	RestartRemains = "restart"
)

// Remainder returns what differs between two versions of an object that are the
// same in everything else that people and programs set: [StatusRemains] for the
// status and the bookkeeping of Kubernetes, or [RestartRemains] if the time of
// a restart differs, too. It returns "" if more differs, or only noise.
func Remainder(resource schema.GroupResource, c *summary.Comparison) string {
	remainder := ""
	for _, change := range c.Changes() {
		switch {
		case change.Noise():
		case isRestart(change):
			remainder = RestartRemains
		case change.Path.Below("status"):
			if resource == nodes && isTransition(change) {
				return ""
			}
			remainder = cmp.Or(remainder, StatusRemains)
		case isBookkeeping(resource, change):
			remainder = cmp.Or(remainder, StatusRemains)
		default:
			return ""
		}
	}
	return remainder
}

// Intent returns the changes of what people and programs set: all but noise,
// the status and the bookkeeping of Kubernetes.
func Intent(resource schema.GroupResource, c *summary.Comparison) (changes []diff.Change) {
	for _, change := range c.Changes() {
		if !change.Noise() && !change.Path.Below("status") && !isBookkeeping(resource, change) {
			changes = append(changes, change)
		}
	}
	return changes
}

// restartedAt is the annotation with which kubectl restarts pods.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// isRestart reports whether a change is one of the time of a restart.
func isRestart(c diff.Change) bool {
	switch {
	case c.Path.Below("spec", "template", "metadata", "annotations", restartedAt):
		return true
	case !c.Path.Below("spec", "template", "metadata", "annotations") || len(c.Path) > 4:
		return false
	}
	for _, side := range []any{c.Old, c.New} { // all annotations were added or removed
		annotations, ok := side.(map[string]any)
		if !ok && side != nil {
			return false
		}
		for name := range annotations {
			if name != restartedAt {
				return false
			}
		}
	}
	return true
}

// isTransition reports whether the change is one of a condition's status.
func isTransition(c diff.Change) bool {
	return c.Kind == diff.Changed && len(c.Path) == 4 && c.Path.Below("status", "conditions") &&
		c.Path[2].Item && c.Path[3].Field == "status"
}

//nolint:gochecknoglobals // constants
var (
	pods            = schema.GroupResource{Resource: "pods"}
	nodes           = schema.GroupResource{Resource: "nodes"}
	claims          = schema.GroupResource{Resource: "persistentvolumeclaims"}
	volumes         = schema.GroupResource{Resource: "persistentvolumes"}
	configMaps      = schema.GroupResource{Resource: "configmaps"}
	serviceAccounts = schema.GroupResource{Resource: "serviceaccounts"}
	namespaces      = schema.GroupResource{Resource: "namespaces"}
)

// bookkeeping lists fields that components of Kubernetes maintain outside of
// the status. A change below one of them is not a root change. An empty
// resource means all.
var bookkeeping = []struct { //nolint:gochecknoglobals // a constant table
	resource schema.GroupResource
	path     []string
}{
	{schema.GroupResource{}, []string{"metadata", "uid"}},
	{schema.GroupResource{}, []string{"metadata", "creationTimestamp"}},
	{schema.GroupResource{}, []string{"metadata", "finalizers"}},
	{schema.GroupResource{}, []string{"metadata", "deletionTimestamp"}},
	{schema.GroupResource{}, []string{"metadata", "deletionGracePeriodSeconds"}},
	{pods, []string{"spec", "nodeName"}},
	{claims, []string{"spec", "volumeName"}},
	{volumes, []string{"spec", "claimRef"}},
	{nodes, []string{"spec", "podCIDR"}},
	{nodes, []string{"spec", "podCIDRs"}},
	{nodes, []string{"spec", "providerID"}},
	{namespaces, []string{"spec", "finalizers"}},
	{serviceAccounts, []string{"secrets"}},
}

// bookkeepingAnnotations are annotations that components of Kubernetes
// maintain. One that ends with a slash is a prefix.
var bookkeepingAnnotations = []string{ //nolint:gochecknoglobals // a constant table
	"kubectl.kubernetes.io/last-applied-configuration",
	"deployment.kubernetes.io/",
	"deprecated.daemonset.template.generation",
	"control-plane.alpha.kubernetes.io/leader",
	"autoscaling.alpha.kubernetes.io/",
	"pv.kubernetes.io/",
	"volume.kubernetes.io/",
	"volume.beta.kubernetes.io/",
	"volumes.kubernetes.io/",
	"node.alpha.kubernetes.io/",
	"csi.volume.kubernetes.io/",
	"batch.kubernetes.io/",
	"endpoints.kubernetes.io/",
}

// isBookkeeping reports whether a change outside of the status is one that
// components of Kubernetes make by themselves.
func isBookkeeping(resource schema.GroupResource, c diff.Change) bool {
	for i := range bookkeeping {
		of := &bookkeeping[i]
		if (of.resource == resource || of.resource == schema.GroupResource{}) && c.Path.Below(of.path...) {
			return true
		}
	}
	if !c.Path.Below("metadata", "annotations") {
		return false
	}
	if len(c.Path) > 2 {
		return isKept(c.Path[2].Field)
	}
	for _, side := range []any{c.Old, c.New} { // all annotations were added or removed
		annotations, ok := side.(map[string]any)
		if !ok && side != nil {
			return false
		}
		for name := range annotations {
			if !isKept(name) {
				return false
			}
		}
	}
	return true
}

// isKept reports whether an annotation is in [bookkeepingAnnotations].
func isKept(annotation string) bool {
	return slices.ContainsFunc(bookkeepingAnnotations, func(name string) bool {
		return annotation == name || strings.HasSuffix(name, "/") && strings.HasPrefix(annotation, name)
	})
}

// isByPerson reports whether a person wrote a version, and not only its status.
func isByPerson(managers []history.Manager) bool {
	return slices.ContainsFunc(managers, func(m history.Manager) bool {
		return m.Subresource != "status" && writer.ClassOf(m.Name) == writer.Person
	})
}

// isMadeForAnother reports whether a controller of Kubernetes creates such an
// object for another one, without owning it: the ConfigMap and the
// ServiceAccount of each namespace, and the volume of a claim.
func isMadeForAnother(r *history.Record) bool {
	// The API server records no manager of some of them.
	class := writer.Of(r.Managers)
	bySystem := class == writer.System || class == writer.Unknown
	switch r.Ref.GroupResource() {
	case configMaps, serviceAccounts:
		return bySystem && isMadeForNamespace(r.Ref)
	case volumes:
		return isProvisioned(r.Object)
	default:
		return false
	}
}

// isControlled reports whether an owner reference of the object is that of its
// controller.
func isControlled(object []byte) (controlled bool) {
	inMetadata(object, func(scan *rawjson.Scanner, field string) {
		if field != "ownerReferences" {
			return
		}
		for range scan.Elements() {
			for _, key := range scan.Members() {
				if string(key) == "controller" && string(scan.Skip()) == "true" {
					controlled = true
				}
			}
		}
	})
	return controlled
}

// isProvisioned reports whether a volume was made for a claim.
func isProvisioned(object []byte) (provisioned bool) {
	inMetadata(object, func(scan *rawjson.Scanner, field string) {
		if field != "annotations" {
			return
		}
		for _, key := range scan.Members() {
			provisioned = provisioned || string(key) == "pv.kubernetes.io/provisioned-by"
		}
	})
	return provisioned
}

// inMetadata calls f for each field of the object's metadata. f may read the
// field's value, which is the next one of the scanner.
func inMetadata(object []byte, f func(scan *rawjson.Scanner, field string)) {
	scan := rawjson.ScanValid(object)
	for _, key := range scan.Members() {
		if string(key) != "metadata" {
			continue
		}
		for _, field := range scan.Members() {
			f(&scan, string(field))
		}
	}
}
