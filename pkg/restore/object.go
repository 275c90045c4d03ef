package restore

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
)

// Object is an object at some time. Its body is decoded as client-go does:
// numbers are int64 or float64.
type Object struct {
	GVR       schema.GroupVersionResource
	Kind      string
	Namespace string // "" for cluster-scoped objects
	Name      string
	Body      map[string]any // complete; nil for an object that is only identified

	// Named means that a person named the object. It is then restored even if
	// a controller makes it, or if it had finished its work.
	Named bool
}

// Key identifies an object among those of a time.
type Key struct {
	Resource        schema.GroupResource
	Namespace, Name string
}

// Key returns the object's key.
func (o *Object) Key() Key { return Key{o.GVR.GroupResource(), o.Namespace, o.Name} }

// UID returns the object's UID, or "".
func (o *Object) UID() string { return text(o.Body, "metadata", "uid") }

// String returns "deployments.apps/web in shop".
func (o *Object) String() string {
	name := o.GVR.GroupResource().String() + "/" + o.Name
	if o.Namespace != "" {
		name += " in " + o.Namespace
	}
	return name
}

// IsBeingDeleted reports whether the deletion of an object has begun.
func IsBeingDeleted(body map[string]any) bool {
	return text(body, "metadata", "deletionTimestamp") != ""
}

// Reader returns objects as they are now.
type Reader interface {
	// Get returns an object, or nil if it does not exist. Only the body of o
	// may be absent. The error is [ErrNotServed] if the API server does not
	// serve the type.
	Get(ctx context.Context, o *Object) (map[string]any, error)
	// List returns all objects of a resource in a namespace.
	List(ctx context.Context, resource schema.GroupVersionResource, namespace string) ([]map[string]any, error)
}

// at returns the value at a path of fields.
func at(value any, path ...string) any {
	for _, field := range path {
		object, _ := value.(map[string]any)
		value = object[field]
	}
	return value
}

// text returns the text at a path of fields, or "".
func text(value any, path ...string) string {
	s, _ := at(value, path...).(string)
	return s
}

// object returns the object at a path of fields, or nil.
func object(value any, path ...string) map[string]any {
	o, _ := at(value, path...).(map[string]any)
	return o
}

// items returns the objects of the list at a path of fields.
func items(value any, path ...string) (all []map[string]any) {
	list, _ := at(value, path...).([]any)
	for _, item := range list {
		if o, ok := item.(map[string]any); ok {
			all = append(all, o)
		}
	}
	return all
}

// stripped returns a copy of a body without what servers and controllers set.
func stripped(resource schema.GroupResource, body map[string]any) map[string]any {
	copied := runtime.DeepCopyJSON(body)
	manifest.Strip(resource, copied)
	return copied
}

// restartedAt is the annotation of kubectl rollout restart.
const restartedAt = "kubectl.kubernetes.io/restartedAt"

// same reports whether two bodies have the same content, except for noise and
// for the time of a restart.
func same(resource schema.GroupResource, a, b map[string]any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	changes := diff.Objects(withoutRestart(stripped(resource, a)), withoutRestart(stripped(resource, b)))
	return !slices.ContainsFunc(changes, func(c diff.Change) bool { return !c.Noise() })
}

// withoutRestart removes the time of a restart from a copy of a body.
func withoutRestart(body map[string]any) map[string]any {
	if annotations := object(body, "spec", "template", "metadata", "annotations"); annotations[restartedAt] != nil {
		delete(annotations, restartedAt)
		if metadata := object(body, "spec", "template", "metadata"); len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	return body
}

// merged returns what an existing object is set to: a manifest, with what
// servers and controllers set from the existing object. So the metadata of its
// life, its owners and its finalizers stay as they are.
func merged(resource schema.GroupResource, made, live map[string]any) map[string]any {
	result := runtime.DeepCopyJSON(made)
	keep(result, live, stripped(resource, live))
	metadata := object(result, "metadata")
	delete(metadata, "managedFields") // the API server keeps those that it has
	if finalizers := at(live, "metadata", "finalizers"); finalizers != nil {
		metadata["finalizers"] = runtime.DeepCopyJSONValue(finalizers)
	} else {
		delete(metadata, "finalizers")
	}
	switch resource {
	case services:
		mergeService(object(result, "spec"), object(live, "spec"))
	case claims: // what is bound by name keeps its volume in a stripped copy
		spec, volume := object(result, "spec"), at(live, "spec", "volumeName")
		if spec != nil && spec["volumeName"] == nil && volume != nil {
			spec["volumeName"] = volume
		}
	}
	return result
}

// keep copies the fields of live that are not part of its stripped copy.
func keep(to, live, stripped map[string]any) {
	for name, value := range live {
		inner, isObject := value.(map[string]any)
		innerStripped, isStripped := stripped[name].(map[string]any)
		_, set := to[name]
		switch {
		case stripped[name] == nil && !set:
			to[name] = runtime.DeepCopyJSONValue(value)
		case isObject && isStripped:
			target, ok := to[name].(map[string]any)
			if !ok {
				if set {
					continue
				}
				target = map[string]any{}
			}
			if keep(target, inner, innerStripped); len(target) > 0 {
				to[name] = target
			}
		}
	}
}

// mergeService takes the addresses and ports that were allocated to a Service
// from its live spec, as far as its type has any.
func mergeService(spec, live map[string]any) {
	kind := spec["type"]
	if kind == "ExternalName" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	hasNodePorts := kind == "NodePort" || kind == "LoadBalancer"
	if kind != "LoadBalancer" || spec["externalTrafficPolicy"] != "Local" {
		delete(spec, "healthCheckNodePort")
	}
	for _, port := range items(spec, "ports") {
		for _, other := range items(live, "ports") {
			if hasNodePorts && other["nodePort"] != nil && port["port"] == other["port"] &&
				port["protocol"] == other["protocol"] {
				port["nodePort"] = other["nodePort"]
			}
		}
	}
}

// withAddresses returns a copy of a Service's manifest with the addresses and
// ports that the Service had. It returns nil if it had none.
func withAddresses(made, recorded map[string]any) map[string]any {
	result := runtime.DeepCopyJSON(made)
	spec, had := object(result, "spec"), object(recorded, "spec")
	if spec == nil {
		return nil
	}
	found := false
	for _, field := range []string{"clusterIP", "clusterIPs", "healthCheckNodePort"} {
		if value := had[field]; value != nil && spec[field] == nil && value != "" {
			spec[field], found = runtime.DeepCopyJSONValue(value), true
		}
	}
	ports, earlier := items(spec, "ports"), items(had, "ports")
	for i := range min(len(ports), len(earlier)) {
		if port := earlier[i]["nodePort"]; port != nil {
			ports[i]["nodePort"], found = port, true
		}
	}
	if !found {
		return nil
	}
	return result
}

// hiddenAnnotations returns the names of annotations that a manifest does not
// have although the body had them: they were recorded as hashes.
func hiddenAnnotations(before, after map[string]any) []string {
	left := object(after, "metadata", "annotations")
	names := slices.Sorted(maps.Keys(object(before, "metadata", "annotations")))
	return slices.DeleteFunc(names, func(name string) bool { return left[name] != nil })
}

// State has objects by their keys. It is a [Reader] of them.
type State map[Key]*Object

// Get implements [Reader].
func (s State) Get(_ context.Context, o *Object) (map[string]any, error) {
	if found := s[o.Key()]; found != nil {
		return found.Body, nil
	}
	return nil, nil
}

// List implements [Reader].
func (s State) List(
	_ context.Context, resource schema.GroupVersionResource, namespace string,
) (all []map[string]any, err error) {
	for key, o := range s {
		if key.Resource == resource.GroupResource() && key.Namespace == namespace {
			all = append(all, o.Body)
		}
	}
	return all, nil
}
