package sample

import "github.com/watchhistory/watchhistory/pkg/history"

// WatchEvent is the next frame of a resource's watch.
type WatchEvent struct {
	Resource history.Resource
	history.WatchEvent
}

func resource(group, version, plural, kind string) history.Resource {
	return history.Resource{Group: group, Version: version, Plural: plural, Kind: kind, Namespaced: kind != "Node" && kind != "Namespace"}
}
