package v1

import (
	"encoding/json"
	"time"
)

// The paths of the API.
const (
	EventsPath    = "/api/v1/events"
	ResourcesPath = "/api/v1/resources"
	GapsPath      = "/api/v1/gaps"
	HealthPath    = "/health"
	LivezPath     = "/livez"
	ReadyzPath    = "/readyz"
	MetricsPath   = "/metrics"
)

// The header fields of an answer that carries records.
const (
	TotalCountHeader         = "X-Total-Count"          // all matches of the query, not only the page's
	TotalCountRelationHeader = "X-Total-Count-Relation" // "gte" where counting stopped early; else absent
	HasMoreHeader            = "X-Has-More"             // "true" or "false"
	NextCursorHeader         = "X-Next-Cursor"          // where there is more: the cursor parameter of the next page
	GapsHeader               = "X-History-Gaps"         // how many gaps touch the query's time and resources
	GapListHeader            = "X-History-Gap-List"     // the newest of them, at most MaxGapsListed
	IgnoredHeader            = "X-History-Ignored"      // what rules leave out of the query's resources and namespace; else absent
	SinceHeader              = "X-History-Since"        // when recording of the first of the query's resources began; absent if that is unknown
	SinceTrimmedHeader       = "X-History-Trimmed"      // "true" if X-History-Since is where what retention has left begins; else absent
	NotRecordedHeader        = "X-History-Not-Recorded" // which of the query's resources are not recorded, and why; absent if all are
)

// MaxGapsListed is how many gaps [GapListHeader] has room for. [GapsPath] has them all.
const MaxGapsListed = 8

// MaxNotRecordedLength bounds the value of [NotRecordedHeader], in bytes. The
// last entry of a longer one is "+N more". [ResourcesPath] has all of it.
const MaxNotRecordedLength = 1000

// MaxIgnoredLength bounds the value of [IgnoredHeader], in bytes; a longer one ends in "...". [ResourcesPath] has all of it.
const MaxIgnoredLength = 1000

// The constants of every [Event]: a watch knows neither the user nor the request.
const (
	WatcherUser           = "system:k8s-watcher"
	StageResponseComplete = "ResponseComplete"
	StatusOK              = 200
)

// Event is one recorded version of an object, in the shape of an audit event.
type Event struct {
	Timestamp      time.Time         `json:"timestamp"` // UTC
	Verb           string            `json:"verb"`      // "create", "update" or "delete"
	User           string            `json:"user"`
	Namespace      string            `json:"namespace"` // "" for cluster-scoped objects
	ResourceType   string            `json:"resourceType"`
	ResourceName   string            `json:"resourceName"`
	ResponseStatus int               `json:"responseStatus"`
	Message        string            `json:"message"`
	ObjectChanges  json.RawMessage   `json:"objectChanges,omitempty"` // the whole object; absent where no bodies were asked for
	Annotations    map[string]string `json:"annotations,omitempty"`
	Stage          string            `json:"stage"`
	RequestURI     string            `json:"requestURI"`
	SourceIPs      []string          `json:"sourceIPs,omitempty"`

	Group           string `json:"group"`
	APIVersion      string `json:"apiVersion"`
	Kind            string `json:"kind"`
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
	// Revision numbers the versions of one UID from 1.
	Revision uint64 `json:"revision"`
	// Managers are the field managers that wrote this version, the newest first.
	// It is absent if the API server recorded none, and if it can't be told who
	// of several it was.
	Managers []Manager `json:"managers,omitempty"`
	// Unmanaged is what shows of a write of which the API server recorded no
	// manager. Otherwise it is absent.
	Unmanaged *Unmanaged `json:"unmanaged,omitempty"`
	// Initial: the object existed already when recording began.
	Initial bool `json:"initial,omitempty"`
	// Inferred: a relist implied the change; it happened somewhere in the interval.
	Inferred *Interval `json:"inferred,omitempty"`
	// Summary says in a few words what changed.
	Summary string `json:"summary,omitempty"`
}

// Manager is a field manager and how it wrote.
type Manager struct {
	Manager     string    `json:"manager"`
	Operation   string    `json:"operation,omitempty"`
	Subresource string    `json:"subresource,omitempty"`
	Time        time.Time `json:"time,omitzero"`
	// Fields are paths of what changed in the version and belongs to this manager, the first few.
	Fields []string `json:"fields,omitempty"`
}

// Unmanaged is a write without a field manager. It is inferred from the version.
type Unmanaged struct {
	// Subresource is what the write came through: "binding" or "scale". Others
	// may follow.
	Subresource string `json:"subresource"`
	// Writer is who writes there as a rule: of a binding the scheduler that the
	// pod asked for.
	Writer string `json:"writer,omitempty"`
}

// Interval is a span of time, both ends UTC.
type Interval struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// ObjectHistory answers for one object: its own records and those of the Kubernetes Events regarding it. Neither list is
// ever null.
type ObjectHistory struct {
	Namespace     string  `json:"namespace"`
	ResourceType  string  `json:"resourceType"`
	ResourceName  string  `json:"resourceName"`
	WatchEvents   []Event `json:"watchEvents"`
	RelatedEvents []Event `json:"relatedEvents"`
}

// ResourceList is the recorder's catalogue: every resource that it records or has recorded, and what else the server serves.
type ResourceList struct {
	Resources []Resource `json:"resources"`
}

// GapList is the answer of [GapsPath], in the order of the gaps' starts.
type GapList struct {
	Gaps []Gap `json:"gaps"` // never null
}

// Gap is an interval in which changes of a resource may be missing.
type Gap struct {
	Group    string    `json:"group"`
	Resource string    `json:"resource"` // the plural
	Start    time.Time `json:"start"`    // UTC, as is the end
	// End is absent as long as the gap is open.
	End time.Time `json:"end,omitzero"`
	// Reason is "restarted", "expired", "interrupted", "disconnected", "server_error", "forbidden", "not_served",
	// "not_configured", "storage", "dropped" or "damaged". Others may follow.
	Reason string `json:"reason"`
	// Detail says more, for people: in the API server's own words, if it gave any.
	Detail string `json:"detail,omitempty"`
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
	// Former are the definitions before, the newest first, of a CRD that was created again with another kind or scope.
	Former []Definition `json:"former,omitempty"`
	// State is "watching", "syncing", "waiting" (for the server to serve it or to permit it), "ignored" (by a rule, as a
	// whole) or "stopped" (recorded once, not any more). A resource that the server serves and that is not recorded is
	// "excluded" (by default), "not_configured" or "not_watchable".
	State string `json:"state"`
	// Reason says why a resource is waiting or not recorded.
	Reason string `json:"reason,omitempty"`
	// Since is when recording of the resource began, or the beginning of what
	// retention has left of that; absent if nothing was recorded, or unknown.
	Since time.Time `json:"since,omitzero"`
	// Ignored is what rules leave out of the resource, or have left out; absent where there is nothing.
	Ignored *Ignored `json:"ignored,omitempty"`
}

// Definition is what a resource was before it was defined anew.
type Definition struct {
	Kind       string   `json:"kind"`
	Singular   string   `json:"singular,omitempty"`
	ShortNames []string `json:"shortNames,omitempty"`
	Namespaced bool     `json:"namespaced"`
}

// Ignored says which versions of a resource's objects rules leave out.
type Ignored struct {
	Namespaces []string `json:"namespaces,omitempty"` // all versions of the objects in them
	Changes    []string `json:"changes,omitempty"`    // versions in which only the values at these paths changed
	Versions   uint64   `json:"versions"`             // left out since the recorder started
}

// Health is the answer of [HealthPath].
type Health struct {
	Status string `json:"status"`
}

// ErrorBody is how an additive endpoint, or an additive parameter, reports an error.
type ErrorBody struct {
	Error Error `json:"error"`
}

// Error is a code for programs and a message for people.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}
