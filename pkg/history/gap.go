package history

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// watchLag is how long after a change a watch may report it. A checkpoint's time is that of its receipt; a change that
// happened a little before may have been under way still.
const watchLag = time.Second

// Gap is an interval in which changes of one resource may be missing. It is wider than what is missing, never narrower:
// it starts no later than the last version behind which nothing is known.
type Gap struct {
	Group    string
	Resource string
	Start    time.Time
	End      time.Time // zero: the gap is open, and nobody knows yet what is missing
	Reason   GapReason
	Detail   string // for people; may be empty
}

// GapReason says why changes could not be seen, or are not there any more.
type GapReason string

// The reasons.
const (
	GapRestarted     GapReason = "restarted"      // the recorder was away for longer than the API server remembers changes
	GapExpired       GapReason = "expired"        // the API server has forgotten the changes to go on with
	GapInterrupted   GapReason = "interrupted"    // the very first sync broke off, and a later one had to go over it
	GapDisconnected  GapReason = "disconnected"   // the API server did not answer
	GapServerError   GapReason = "server_error"   // the API server answered with an error, or with something that can't be read
	GapForbidden     GapReason = "forbidden"      // the API server did not permit it
	GapNotServed     GapReason = "not_served"     // the API server did not serve the resource
	GapNotConfigured GapReason = "not_configured" // the configuration did not name the resource, or left it out
	GapStorage       GapReason = "storage"        // the storage takes nothing: its volume is full, or writing to it fails
	GapDropped       GapReason = "dropped"        // it was recorded, and dropped before its time, because the storage neared its limit
	GapDamaged       GapReason = "damaged"        // what was recorded is lost: a file of the history was damaged
)

// GroupResource returns the resource whose changes may be missing.
func (g Gap) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: g.Group, Resource: g.Resource}
}

// Open tells whether the gap has no end yet.
func (g Gap) Open() bool { return g.End.IsZero() }

// Touches tells whether the gap has a moment in common with the time from start to end; a zero end is no end.
func (g Gap) Touches(start, end time.Time) bool {
	return (g.Open() || !g.End.Before(start)) && (end.IsZero() || g.Start.Before(end))
}

// Specific reports whether the reason says more about what kept a resource
// from being observed than another one.
func (r GapReason) Specific(than GapReason) bool { return r.weight() > than.weight() }

// weight orders the reasons for which a watch can end.
func (r GapReason) weight() int {
	switch r {
	case GapExpired:
		return 0
	case GapDisconnected:
		return 1
	case GapServerError:
		return 2
	default:
		return 3
	}
}
