package watcher

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// State is what a resource's watcher is at. The zero State is [Waiting].
type State uint8

// The states.
const (
	Waiting  State = iota // for the server to be reached, to serve the resource, or to permit it
	Syncing               // everything that exists is being observed
	Watching              // changes are being observed
	Stopped               // nothing is observed any more: the resource's definition is gone
)

// String returns the state as the REST API writes it.
func (s State) String() string {
	switch s {
	case Waiting:
		return "waiting"
	case Syncing:
		return "syncing"
	case Watching:
		return "watching"
	case Stopped:
		return "stopped"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// Change is a change of a resource's state.
type Change struct {
	Resource history.Resource
	State    State
	// Reason says, for people, why a resource is waited for.
	Reason string
	// Refused says that the API server answers, but does not serve the resource, or not to this user: waiting can last
	// forever.
	Refused bool
}

// refusal returns why the server refuses the resource, and "" where err is something else.
func refusal(r history.Resource, err error) string {
	switch {
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return fmt.Sprintf("the API server does not serve %s in version %s", r.GroupResource(), r.Version)
	case apierrors.IsForbidden(err):
		return fmt.Sprintf("the API server does not permit it; the recorder needs the verbs list and watch on %s: %v",
			r.GroupResource(), err)
	default:
		return ""
	}
}
