package history

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// View is the part of a log that a caller may read: a grant for each resource.
// Resources without a grant are not in it. The nil View contains everything.
//
// A View must not be modified after it is used in a [Filter].
type View map[schema.GroupResource]Grant

// Grant is the part of a resource that a caller may read. The zero Grant is
// empty.
type Grant struct {
	// All means all objects of the resource. Namespaces is then ignored.
	All bool
	// Namespaces are the namespaces whose objects are granted. "" means
	// cluster-scoped objects.
	//
	// The value is the creation of the present namespace of that name. Objects
	// that were created earlier belonged to another namespace, perhaps of
	// another tenant, and are not granted. Objects whose creation is unknown
	// are not granted either. A zero value grants all objects.
	Namespaces map[string]time.Time
}

// Contains reports whether the view contains the record.
func (v View) Contains(r *Record) bool {
	if v == nil {
		return true
	}
	grant := v[r.Ref.GroupResource()]
	if grant.All {
		return true
	}
	since, granted := grant.Namespaces[r.Ref.Namespace]
	return granted && !r.Created.Before(since)
}

// MayContain reports whether the view may contain objects of the resource in a
// namespace, "" for cluster-scoped ones.
func (v View) MayContain(r schema.GroupResource, namespace string) bool {
	grant := v[r]
	_, granted := grant.Namespaces[namespace]
	return v == nil || grant.All || granted
}

// Touches reports whether the view may contain objects of the resource.
func (v View) Touches(r schema.GroupResource) bool {
	grant := v[r]
	return v == nil || grant.All || len(grant.Namespaces) > 0
}
