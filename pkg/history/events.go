package history

import "k8s.io/apimachinery/pkg/runtime/schema"

// EventResources returns the resources that Kubernetes Events may be recorded under. Two groups serve the same Events, and it depends
// on the configuration from which of them they are recorded.
func EventResources() []schema.GroupResource {
	return []schema.GroupResource{{Resource: "events"}, {Group: "events.k8s.io", Resource: "events"}}
}

// IsEventResource tells whether the objects of a resource are Kubernetes Events.
func IsEventResource(r schema.GroupResource) bool {
	return r.Resource == "events" && (r.Group == "" || r.Group == "events.k8s.io")
}
