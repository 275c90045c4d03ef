// Package manifest makes manifests of recorded objects: objects as kubectl or
// the API server accepts them in an empty namespace.
//
// docs/api.md lists what is removed, and why. The package does not read objects
// and does not apply them.
package manifest

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Strip removes what a server or a controller sets from a decoded object of a
// resource. It changes the object.
func Strip(resource schema.GroupResource, object map[string]any) {
	o := fields(object)
	o.remove("status")
	metadata := o.at("metadata")
	stripMetadata(metadata)
	spec := o.at("spec")
	switch resource {
	case schema.GroupResource{Resource: "pods"}:
		stripPod(spec)
	case schema.GroupResource{Resource: "services"}:
		stripService(spec)
	case schema.GroupResource{Resource: "persistentvolumes"}:
		spec.at("claimRef").remove("uid", "resourceVersion")
	case schema.GroupResource{Resource: "persistentvolumeclaims"}:
		if annotations := metadata.at("annotations"); annotations["pv.kubernetes.io/bound-by-controller"] != nil {
			spec.remove("volumeName")
		}
	case schema.GroupResource{Group: "batch", Resource: "jobs"}:
		stripJob(metadata, spec)
	}
	stripAnnotations(metadata)
}

// fields is a decoded JSON object. A nil fields has no fields, and removing
// from it does nothing.
type fields map[string]any

// at returns the object in a field, or nil.
func (f fields) at(name string) fields {
	inner, _ := f[name].(map[string]any)
	return inner
}

// each returns the objects in a list.
func (f fields) each(name string) (all []fields) {
	list, _ := f[name].([]any)
	for _, item := range list {
		if inner, ok := item.(map[string]any); ok {
			all = append(all, inner)
		}
	}
	return all
}

// remove removes fields.
func (f fields) remove(names ...string) {
	for _, name := range names {
		delete(f, name)
	}
}

// filter keeps the items of a list for which keep returns true. It removes an
// empty list.
func (f fields) filter(name string, keep func(item any) bool) {
	list, ok := f[name].([]any)
	if !ok {
		return
	}
	kept := slices.DeleteFunc(list, func(item any) bool { return !keep(item) })
	if f[name] = kept; len(kept) == 0 {
		delete(f, name)
	}
}

// stripMetadata removes what identifies the object's life, its deletion, and
// its owners: they are identified by UIDs that no new object has, so the
// garbage collector would delete the object at once.
func stripMetadata(metadata fields) {
	metadata.remove("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink",
		"deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences")
	metadata.filter("finalizers", func(item any) bool {
		switch item {
		case "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection", "foregroundDeletion", "orphan",
			"service.kubernetes.io/load-balancer-cleanup", "batch.kubernetes.io/job-tracking":
			return false
		default:
			return true
		}
	})
}

// stripAnnotations removes the annotations in which kubectl and the controllers
// of Kubernetes keep their state.
func stripAnnotations(metadata fields) {
	annotations := metadata.at("annotations")
	annotations.remove(
		"kubectl.kubernetes.io/last-applied-configuration",
		"deployment.kubernetes.io/revision",
		"deployment.kubernetes.io/revision-history",
		"deployment.kubernetes.io/desired-replicas",
		"deployment.kubernetes.io/max-replicas",
		"deprecated.daemonset.template.generation",
		"control-plane.alpha.kubernetes.io/leader",
		"endpoints.kubernetes.io/last-change-trigger-time",
		"batch.kubernetes.io/job-tracking",
		"pv.kubernetes.io/bind-completed",
		"pv.kubernetes.io/bound-by-controller",
		"volume.kubernetes.io/selected-node",
		"volume.kubernetes.io/storage-provisioner",
		"volume.beta.kubernetes.io/storage-provisioner",
	)
	if len(annotations) == 0 {
		metadata.remove("annotations")
	}
}

// stripService removes allocated addresses and ports: they may be in use. A
// headless service keeps its clusterIP "None".
func stripService(spec fields) {
	if spec["clusterIP"] != "None" {
		spec.remove("clusterIP", "clusterIPs")
	}
	spec.remove("healthCheckNodePort")
	for _, port := range spec.each("ports") {
		port.remove("nodePort")
	}
}

// tokenPath is where the API server mounts the token of the service account.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// stripPod removes what the scheduler and the admission set. The API server
// rejects a new pod with ephemeral containers, or with a priority that differs
// from that of its class. It adds the volume of the token again.
func stripPod(spec fields) {
	spec.remove("nodeName", "priority", "preemptionPolicy", "ephemeralContainers")
	tokens := map[string]bool{}
	for _, container := range slices.Concat(spec.each("containers"), spec.each("initContainers")) {
		container.filter("volumeMounts", func(item any) bool {
			mount, _ := item.(map[string]any)
			name, _ := mount["name"].(string)
			if mount["mountPath"] != tokenPath ||
				!strings.HasPrefix(name, "kube-api-access-") && !strings.Contains(name, "-token-") {
				return true
			}
			tokens[name] = true
			return false
		})
	}
	spec.filter("volumes", func(item any) bool {
		volume, _ := item.(map[string]any)
		name, _ := volume["name"].(string)
		return !tokens[name]
	})
}

// stripJob removes the generated selector with its labels, which the API server
// rejects in a new job.
func stripJob(metadata, spec fields) {
	if spec["manualSelector"] == true {
		return
	}
	spec.remove("selector")
	for _, m := range []fields{metadata, spec.at("template").at("metadata")} {
		m.at("labels").remove("controller-uid", "batch.kubernetes.io/controller-uid",
			"job-name", "batch.kubernetes.io/job-name")
		if labels := m.at("labels"); labels != nil && len(labels) == 0 {
			m.remove("labels")
		}
	}
}
