package history

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// watchLag is the longest time after a change until the watch reports it. A
// checkpoint's time is when its versions were received, so a change that
// happened up to watchLag before may still be on its way.
const watchLag = time.Second

// Gap is an interval in which changes of one resource may be missing.
//
// A gap may be wider than the missing changes, but never narrower. It starts no
// later than the last version after which changes may be missing.
type Gap struct {
	Group    string
	Resource string
	Start    time.Time
	End      time.Time // zero: the gap is open
	Reason   GapReason
	Detail   string // for people; may be empty
}

// GapReason is a code for why changes were not observed, or are no longer
// stored. The codes are part of the REST API.
type GapReason string

// The reasons.
const (
	// GapRestarted: the recorder was down for longer than the API server keeps
	// changes.
	GapRestarted GapReason = "restarted"
	// GapExpired: the API server no longer had the changes after the
	// checkpoint.
	GapExpired GapReason = "expired"
	// GapInterrupted: the first list was interrupted, and had to be repeated.
	GapInterrupted GapReason = "interrupted"
	// GapDisconnected: the API server did not answer.
	GapDisconnected GapReason = "disconnected"
	// GapServerError: the API server answered with an error, or with something
	// that can't be decoded.
	GapServerError GapReason = "server_error"
	// GapForbidden: the API server denied the list or the watch.
	GapForbidden GapReason = "forbidden"
	// GapNotServed: the API server did not serve the resource.
	GapNotServed GapReason = "not_served"
	// GapNotConfigured: the configuration did not select the resource, or
	// ignored it.
	GapNotConfigured GapReason = "not_configured"
	// GapStorage: the storage accepted no writes: its volume was full, or a
	// write failed.
	GapStorage GapReason = "storage"
	// GapDropped: records were dropped before the end of the retention, because
	// the storage approached its size limit.
	GapDropped GapReason = "dropped"
	// GapDamaged: records were lost with a damaged file.
	GapDamaged GapReason = "damaged"
)

// GroupResource returns the resource whose changes may be missing.
func (g Gap) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: g.Group, Resource: g.Resource}
}

// Open reports whether the gap has not ended yet.
func (g Gap) Open() bool { return g.End.IsZero() }

// Touches reports whether the gap and the time from start to end have a moment
// in common. A zero end means no end.
func (g Gap) Touches(start, end time.Time) bool {
	return (g.Open() || !g.End.Before(start)) && (end.IsZero() || g.Start.Before(end))
}

// MoreSpecificThan reports whether the reason is more specific than another one
// as the explanation why a resource was not observed. An expired checkpoint is
// the least specific: it follows from what ended the watch.
func (r GapReason) MoreSpecificThan(other GapReason) bool { return r.weight() > other.weight() }

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

// IgnoreRule is a rule of the configuration that leaves versions out of the
// history:
//
//   - with Namespaces: the versions of objects in these namespaces, of one
//     resource, or of all resources if Resource is zero;
//   - with Changes: the versions of a resource's objects that differ from the
//     previous version only in the values at these paths;
//   - with neither: all versions of the resource's objects.
type IgnoreRule struct {
	Resource   schema.GroupResource
	Namespaces []string
	Changes    []string
}

// Whole reports whether the rule ignores all versions of the resource.
func (o IgnoreRule) Whole() bool { return len(o.Namespaces) == 0 && len(o.Changes) == 0 }

// UnrecordedResource is a resource of the cluster that is not recorded.
type UnrecordedResource struct {
	Resource Resource `json:"resource"`
	// Reason is one word for programs: a [GapReason], or another word of the
	// recorder, such as "excluded" or "syncing".
	Reason string `json:"reason"`
}
