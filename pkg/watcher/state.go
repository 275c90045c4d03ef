package watcher

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// State is the state of a resource's watcher. The zero State is [Waiting].
type State uint8

// The states.
const (
	Waiting  State = iota // until the API server answers, serves the resource, or permits it
	Syncing               // the resource is being listed
	Watching              // changes are observed as they happen
	Stopped               // the CRD is deleted, or the configuration does not include the resource any more
	Ignored               // the configuration ignores the resource by name
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
	// Cause is why the resource is not observed. It is zero if nothing is
	// missed, or if nothing was tried yet. A Detail without a Reason explains
	// why a resource is stopped or ignored if nothing of it is missed.
	gap.Cause
	// Throttled means that the API server asks to retry later, as it does while
	// it establishes a CRD.
	Throttled bool
	// Refused means that the API server answers, but does not serve the
	// resource, or not to this user. Such a state may last forever.
	Refused bool
}

// Failed reports whether the watcher can't observe the resource for a known
// cause.
func (c Change) Failed() bool { return c.State == Waiting && !c.None() }

// outdated returns the state after the API server refused to resume from rv,
// until the list begins.
func outdated(rv string, err error) Change {
	return Change{State: Waiting, Cause: gap.Cause{
		Reason: history.GapExpired,
		Detail: fmt.Sprintf(
			"the API server could not resume from resourceVersion %s, listing everything again: %v", rv, err),
	}}
}

// lagging returns the state while the API server has not reached the
// resourceVersion yet.
func lagging(rv string, err error) Change {
	return Change{State: Waiting, Cause: gap.Cause{
		Reason: history.GapExpired,
		Detail: fmt.Sprintf(
			"the API server does not have resourceVersion %s: it lags, or was restored from a backup: %v", rv, err),
	}}
}

// waiting returns the state of a resource whose request failed, in the API
// server's own words if there are any.
func waiting(r history.Resource, err error) Change {
	c := Change{State: Waiting}
	switch {
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		c.Reason, c.Refused = history.GapNotServed, true
		c.Detail = fmt.Sprintf("the API server does not serve %s in version %s: %v", r.GroupResource(), r.Version, err)
	case apierrors.IsForbidden(err):
		c.Reason, c.Refused = history.GapForbidden, true
		c.Detail = fmt.Sprintf("the API server does not permit it; "+
			"the recorder needs the verbs list and watch on %s: %v",
			r.GroupResource(), err)
	case apierrors.IsUnauthorized(err):
		c.Reason = history.GapForbidden
		c.Detail = fmt.Sprintf("the API server rejects the recorder's credentials: %v", err)
	case apierrors.IsTooManyRequests(err):
		c.Reason, c.Detail, c.Throttled = history.GapServerError, err.Error(), true
	case errorClassOf(err) == unreachable:
		c.Reason, c.Detail = history.GapDisconnected, err.Error()
	default:
		c.Reason, c.Detail = history.GapServerError, err.Error()
	}
	return c
}
