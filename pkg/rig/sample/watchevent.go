package sample

import "github.com/watchhistory/watchhistory/pkg/history"

// WatchEvent is a watch event with the resource that it belongs to.
type WatchEvent struct {
	Resource history.Resource
	history.WatchEvent
}

// resource returns a resource. Nodes and Namespaces are cluster-scoped.
func resource(group, version, plural, kind string) history.Resource {
	return history.Resource{
		Group: group, Version: version, Plural: plural, Kind: kind,
		Namespaced: kind != "Node" && kind != "Namespace",
	}
}
