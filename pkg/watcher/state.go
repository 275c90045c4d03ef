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
	Stopped               // nothing is observed any more: the definition is gone, or the configuration does not want it
	Ignored               // nothing is observed: the configuration excludes it
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
	case Ignored:
		return "ignored"
	default:
		return fmt.Sprintf("state(%d)", uint8(s))
	}
}

// Change is a change of a resource's state.
type Change struct {
	Resource history.Resource
	State    State
	// Reason says, for people, why a resource is waited for or not observed.
	Reason string
	// Cause says the same for programs; "" where nothing is missed, or nothing was tried yet.
	Cause history.GapReason
	// Throttled says that the API server asks to come later, as it does for a
	// CRD that it establishes.
	Throttled bool
	// Refused says that the API server answers, but does not serve the resource, or not to this user: waiting can last
	// forever.
	Refused bool
}

// outdated returns why a resource is not observed until a sync begins.
func outdated(rv string, err error) Change {
	return Change{
		State: Waiting, Cause: history.GapExpired,
		Reason: fmt.Sprintf("the API server could not go on from resourceVersion %s, and everything is observed anew: %v", rv, err),
	}
}

// lagging returns why a resource is not observed while the server does not
// know the resourceVersion yet.
func lagging(rv string, err error) Change {
	return Change{
		State: Waiting, Cause: history.GapExpired,
		Reason: fmt.Sprintf("the API server does not know resourceVersion %s: it lags, or was restored from a backup: %v", rv, err),
	}
}

// waiting returns why a resource can't be observed, in the server's own words
// if it gave any.
func waiting(r history.Resource, err error) Change {
	c := Change{State: Waiting}
	switch {
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		c.Reason = fmt.Sprintf("the API server does not serve %s in version %s: %v", r.GroupResource(), r.Version, err)
		c.Refused, c.Cause = true, history.GapNotServed
	case apierrors.IsForbidden(err):
		c.Reason = fmt.Sprintf("the API server does not permit it; the recorder needs the verbs list and watch on %s: %v",
			r.GroupResource(), err)
		c.Refused, c.Cause = true, history.GapForbidden
	case apierrors.IsUnauthorized(err):
		c.Reason = fmt.Sprintf("the API server rejects the recorder's credentials: %v", err)
		c.Cause = history.GapForbidden
	case apierrors.IsTooManyRequests(err):
		c.Reason, c.Cause, c.Throttled = err.Error(), history.GapServerError, true
	case kindOf(err) == unreachable:
		c.Reason, c.Cause = err.Error(), history.GapDisconnected
	default:
		c.Reason, c.Cause = err.Error(), history.GapServerError
	}
	return c
}
