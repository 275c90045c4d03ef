package manifest

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// order lists the types whose objects are made before those of other types,
// which need them. Policies precede the workloads that they restrict.
var order = []string{ //nolint:gochecknoglobals // a constant table
	"namespaces", "customresourcedefinitions",
	"priorityclasses", "storageclasses", "persistentvolumes",
	"networkpolicies", "limitranges", "resourcequotas",
	"serviceaccounts", "secrets", "configmaps", "persistentvolumeclaims",
	"clusterroles", "roles", "clusterrolebindings", "rolebindings", "services",
	"daemonsets", "statefulsets", "deployments", "replicasets", "replicationcontrollers", "cronjobs", "jobs", "pods",
}

// Rank returns the position of a resource in the order in which objects are
// made. All resources that the order does not name are last.
func Rank(resource schema.GroupResource) int {
	if i := slices.Index(order, resource.Resource); i >= 0 {
		return i
	}
	return len(order)
}

// IsMadeForNamespace reports whether the controllers of Kubernetes create the
// object in each namespace.
func IsMadeForNamespace(resource schema.GroupResource, name string) bool {
	return resource == schema.GroupResource{Resource: "configmaps"} && name == "kube-root-ca.crt" ||
		resource == schema.GroupResource{Resource: "serviceaccounts"} && name == "default"
}
