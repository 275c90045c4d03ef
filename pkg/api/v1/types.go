package v1

import (
	"encoding/json"
	"time"
)

// Event is one recorded version of an object, in the form of an audit event.
type Event struct {
	Timestamp      time.Time         `json:"timestamp"` // UTC
	Verb           string            `json:"verb"`      // "create", "update" or "delete"
	User           string            `json:"user"`
	Namespace      string            `json:"namespace"` // "" for cluster-scoped objects
	ResourceType   string            `json:"resourceType"`
	ResourceName   string            `json:"resourceName"`
	ResponseStatus int               `json:"responseStatus"`
	Message        string            `json:"message"`
	ObjectChanges  json.RawMessage   `json:"objectChanges,omitempty"` // the whole object; absent with [ParamSummary]
	Annotations    map[string]string `json:"annotations,omitempty"`
	Stage          string            `json:"stage"`
	RequestURI     string            `json:"requestURI"`
	SourceIPs      []string          `json:"sourceIPs,omitempty"`

	Group           string `json:"group"`
	APIVersion      string `json:"apiVersion"`
	Kind            string `json:"kind"`
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
	// Revision is the number of the version among those of one UID, from 1.
	Revision uint64 `json:"revision"`
	// Managers are the field managers that wrote the version, newest first. It
	// is absent if the API server recorded none, or if several may have written
	// it.
	Managers []Manager `json:"managers,omitempty"`
	// Unmanaged describes a write for which the API server recorded no manager.
	// It is absent for other writes.
	Unmanaged *Unmanaged `json:"unmanaged,omitempty"`
	// Initial means that the object existed before it was recorded.
	Initial bool `json:"initial,omitempty"`
	// Inferred means that a relist implied the change. It happened at some time
	// in the interval.
	Inferred *Interval `json:"inferred,omitempty"`
	// Summary describes in a few words what changed since the previous version.
	// It is absent if only noise changed.
	Summary string `json:"summary,omitempty"`
}

// Manager is a field manager and its write.
type Manager struct {
	Manager     string    `json:"manager"`
	Operation   string    `json:"operation,omitempty"`
	Subresource string    `json:"subresource,omitempty"`
	Time        time.Time `json:"time,omitzero"`
	// Fields are the first few paths that changed in the version and belong to
	// the manager.
	Fields []string `json:"fields,omitempty"`
}

// Unmanaged is a write without a field manager, inferred from the version.
type Unmanaged struct {
	// Subresource is "binding" or "scale". Others may be added.
	Subresource string `json:"subresource"`
	// Writer is the usual writer of the subresource: for a binding, the
	// scheduler that the pod names.
	Writer string `json:"writer,omitempty"`
}

// Interval is a range of time, in UTC.
type Interval struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// ObjectHistory is the history of one object: its own records, and those of the
// Kubernetes Events regarding it. The lists are never null.
type ObjectHistory struct {
	Namespace     string  `json:"namespace"`
	ResourceType  string  `json:"resourceType"`
	ResourceName  string  `json:"resourceName"`
	WatchEvents   []Event `json:"watchEvents"`
	RelatedEvents []Event `json:"relatedEvents"`
}

// ResourceList is the recorder's catalogue: the resources that it records or
// has recorded, and the others that the API server serves.
type ResourceList struct {
	Resources []Resource `json:"resources"`
}

// GapList is the answer of [GapsPath]. The gaps are ordered by their starts.
type GapList struct {
	Gaps []Gap `json:"gaps"` // never null
}

// Gap is an interval in which changes of a resource may be missing.
type Gap struct {
	Group    string    `json:"group"`
	Resource string    `json:"resource"` // the plural
	Start    time.Time `json:"start"`    // UTC
	// End is in UTC, and absent while the gap is open.
	End time.Time `json:"end,omitzero"`
	// Reason is "restarted", "expired", "interrupted", "disconnected",
	// "server_error", "forbidden", "not_served", "not_configured", "storage",
	// "dropped" or "damaged". Others may be added.
	Reason string `json:"reason"`
	// Detail explains the reason to people, in the API server's words if it
	// gave any.
	Detail string `json:"detail,omitempty"`
}

// StreamItem is one line of a stream, which [EventsPath] answers with
// [ParamWatch]. The last line of a complete stream is [StreamEnd] or
// [StreamError]: a stream without one was cut off.
type StreamItem struct {
	Type StreamType `json:"type"`
	// Cursor is the position after the line. A stream with it as [ParamCursor]
	// continues without loss and without repetition.
	Cursor string `json:"cursor"`
	Event  *Event `json:"event,omitempty"` // of a StreamEvent
	Gap    *Gap   `json:"gap,omitempty"`   // of a StreamGap or StreamNoGap
	// Gaps are those of a StreamStart. It is absent if there are none.
	Gaps  []Gap  `json:"gaps,omitempty"`
	Error *Error `json:"error,omitempty"` // of a StreamError
}

// StreamType is the type of a line. Others may be added.
type StreamType string

// The types of lines.
const (
	// StreamStart is the first line. Its gaps are those that are open or that
	// ended after the position at which the stream begins.
	StreamStart StreamType = "START"
	// StreamEvent is a record.
	StreamEvent StreamType = "EVENT"
	// StreamGap is a gap that was opened, changed or closed. A gap is
	// identified by its resource and its start, and may be repeated.
	StreamGap StreamType = "GAP"
	// StreamNoGap is an open gap that no longer exists: the recorder could read
	// the missing changes.
	StreamNoGap StreamType = "NO_GAP"
	// StreamHeartbeat is sent if nothing else was for [HeartbeatSeconds].
	StreamHeartbeat StreamType = "HEARTBEAT"
	// StreamEnd is the last line if the recorder stops.
	StreamEnd StreamType = "END"
	// StreamError is the last line if the stream can't be continued.
	StreamError StreamType = "ERROR"
)

// Comparison is the answer of [ComparePath].
type Comparison struct {
	From time.Time `json:"from"` // UTC
	To   time.Time `json:"to"`   // UTC
	// Differences are ordered by group, resource, namespace and name.
	Differences []Difference `json:"differences"` // never null
}

// Difference describes an object that differs between two times.
type Difference struct {
	// Change is "created", "deleted", "recreated" (the object has another UID)
	// or "changed".
	Change       string `json:"change"`
	Namespace    string `json:"namespace"` // "" for cluster-scoped objects
	ResourceType string `json:"resourceType"`
	ResourceName string `json:"resourceName"`
	Group        string `json:"group"`
	APIVersion   string `json:"apiVersion"`
	Kind         string `json:"kind"`
	UID          string `json:"uid"`
	// PreviousUID is the UID at the earlier time, if the object was recreated.
	PreviousUID string `json:"previousUid,omitempty"`
	// Versions counts the versions between the times, of all objects with this
	// name.
	Versions int `json:"versions"`
	// FromRevision is the revision at the earlier time. It is absent if the
	// object was created.
	FromRevision uint64 `json:"fromRevision,omitempty"`
	// ToRevision is the revision at the later time, or that of the deletion.
	ToRevision uint64 `json:"toRevision,omitempty"`
	// Timestamp is the time of the version of ToRevision.
	Timestamp time.Time `json:"timestamp,omitzero"`
	// Summary describes the changes in a few words. It is absent if only noise
	// differs.
	Summary string `json:"summary,omitempty"`
	// Noise means that only noise differs.
	Noise bool `json:"noise,omitempty"`
	// Changes are all changes of an object that exists at both times. They are
	// absent with [ParamSummary].
	Changes []Change `json:"changes,omitempty"`
}

// Change is a value that differs between two versions of an object.
type Change struct {
	Path string `json:"path"` // "spec.template.spec.containers[name=app].image"
	// Change is "added", "removed", "changed" or, for a list with keys,
	// "reordered". Old and New are then the keys of the items.
	Change string          `json:"change"`
	Old    json.RawMessage `json:"old,omitempty"`
	New    json.RawMessage `json:"new,omitempty"`
	Noise  bool            `json:"noise,omitempty"` // the change contains no information about the object
}

// Resource describes a recorded resource with the names that discovery gave it.
type Resource struct {
	Group      string   `json:"group"`
	Version    string   `json:"version"`
	Plural     string   `json:"plural"`
	Singular   string   `json:"singular,omitempty"`
	Kind       string   `json:"kind"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`
	// Former are the earlier definitions, newest first, of a CRD that was
	// created again with another kind or scope.
	Former []Definition `json:"former,omitempty"`
	// State is one of:
	//   - "watching"
	//   - "syncing": its first list is not complete
	//   - "waiting": the API server does not serve it, or denies the watch
	//   - "ignored": a rule ignores all of it
	//   - "stopped": it was recorded earlier
	//   - "excluded" (by default), "not_configured" or "not_watchable": the API
	//     server serves it, and it is not recorded
	State string `json:"state"`
	// Reason explains why the resource is waiting or not recorded.
	Reason string `json:"reason,omitempty"`
	// Since is when the resource's history begins: with its recording, or with
	// the retention if that is later. It is absent if that is unknown.
	Since time.Time `json:"since,omitzero"`
	// Ignored describes the versions that rules ignore or have ignored. It is
	// absent if there are none.
	Ignored *Ignored `json:"ignored,omitempty"`
}

// Definition is an earlier definition of a resource.
type Definition struct {
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`
}

// Ignored describes which versions of a resource's objects are not recorded
// because of rules.
type Ignored struct {
	Namespaces []string `json:"namespaces,omitempty"` // all versions of objects in these
	Changes    []string `json:"changes,omitempty"`    // versions in which only the values at these paths changed
	Versions   uint64   `json:"versions"`             // ignored since the recorder started
}

// Health is the answer of [HealthPath].
type Health struct {
	Status string `json:"status"`
}

// ErrorBody is the answer to a failed request, unless a fixed text is required.
type ErrorBody struct {
	Error Error `json:"error"`
}

// Error is a code for programs, and a message for people. The code is one of
// those of package history, or "method_not_allowed".
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
