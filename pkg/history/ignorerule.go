package history

import "k8s.io/apimachinery/pkg/runtime/schema"

// IgnoreRule is what a rule leaves out of history: the versions of objects in some namespaces, of one resource or of all where
// it is zero; the versions of a resource's objects that differ from the version before in nothing but the values at some
// paths; or, with neither namespaces nor paths, a resource as a whole.
type IgnoreRule struct {
	Resource   schema.GroupResource
	Namespaces []string
	Changes    []string
}

// Whole tells whether nothing of the resource is recorded.
func (o IgnoreRule) Whole() bool { return len(o.Namespaces) == 0 && len(o.Changes) == 0 }
