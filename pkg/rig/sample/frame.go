package sample

import "github.com/watchhistory/watchhistory/pkg/history"

// Frame is the next frame of a resource's watch.
type Frame struct {
	Resource history.Resource
	history.WatchEvent
}

func resource(group, version, plural, kind string) history.Resource {
	return history.Resource{Group: group, Version: version, Plural: plural, Kind: kind, Namespaced: kind != "Node" && kind != "Namespace"}
}
