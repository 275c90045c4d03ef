package v1

// The paths of the API. The history of one object is at
// EventsPath/{namespace}/{resourceType}/{name}.
const (
	EventsPath    = "/api/v1/events"
	ResourcesPath = "/api/v1/resources"
	GapsPath      = "/api/v1/gaps"
	StatePath     = "/api/v1/state"
	ComparePath   = "/api/v1/compare"
	HealthPath    = "/health"
	LivezPath     = "/livez"
	ReadyzPath    = "/readyz"
	MetricsPath   = "/metrics"
)

// ContentType is the media type of all answers except the fixed texts, the
// probes and the metrics.
const ContentType = "application/json"

// The query parameters. All are optional: an empty value means that the
// parameter is absent. Unknown parameters are ignored. A parameter with one or
// more values is repeated, or its values are separated by commas.
const (
	ParamStart        = "start"        // RFC 3339, inclusive
	ParamEnd          = "end"          // RFC 3339, exclusive
	ParamNamespace    = "namespace"    // one or more; "-" selects cluster-scoped objects
	ParamResourceType = "resourceType" // one or more, with commas, in any form that kubectl accepts
	ParamResourceName = "resourceName"
	ParamGroup        = "group" // the API group, or [CoreGroup]
	ParamUID          = "uid"
	ParamVerb         = "verb"    // one or more of "create", "update" and "delete"; others match nothing
	ParamUser         = "user"    // anything but [WatcherUser] matches nothing
	ParamManager      = "manager" // a field manager; any of them, if it is repeated

	ParamLabelSelector = "labelSelector" // as in the Kubernetes API
	ParamFieldSelector = "fieldSelector" // as in the Kubernetes API; docs/api.md lists the fields
	ParamReason        = "reason"        // of Kubernetes Events: one or more
	ParamType          = "type"          // of Kubernetes Events: one or more
	ParamQuery         = "q"             // a CEL expression that is true or false for a version

	ParamLimit   = "limit"   // records per page, up to the recorder's maximum
	ParamCursor  = "cursor"  // [NextCursorHeader] of the previous page
	ParamOrder   = "order"   // [OrderAscending] or [OrderDescending]
	ParamSummary = "summary" // a boolean: events without objectChanges
	ParamEmpty   = "empty"   // the status if nothing matches: [EmptyNotFound] or [EmptyOK]
	ParamWatch   = "watch"   // a boolean: a stream of [StreamItem] instead of a page

	ParamRevision    = "revision"    // one object only: one or more numbers, separated by commas
	ParamDescendants = "descendants" // one object only, a boolean: Events of its descendants, too

	ParamAt    = "at"    // a state only: RFC 3339 or [Now], inclusive
	ParamStrip = "strip" // a state only, a boolean: objects as kubectl apply accepts them
	ParamFrom  = "from"  // a comparison only: as ParamAt; required
	ParamTo    = "to"    // a comparison only: as ParamAt
	ParamNoise = "noise" // a comparison only, a boolean: with objects of which only noise differs
)

// The values of parameters. The first of each group is the default.
const (
	OrderAscending  = "asc"
	OrderDescending = "desc"

	EmptyNotFound = "404"
	EmptyOK       = "200"

	Now = "now" // the default of [ParamAt] and [ParamTo]
)

// StreamContentType is the media type of a stream: one JSON document per line.
const StreamContentType = "application/x-ndjson"

// HeartbeatSeconds is the longest time between two lines of a stream.
const HeartbeatSeconds = 10

// CoreGroup is the value of [ParamGroup] for the core group, whose name is
// empty. No API group can have this name.
const CoreGroup = "core"

// The headers of an answer with records.
const (
	// TotalCountHeader counts all matches of the query, not only the page's.
	TotalCountHeader = "X-Total-Count"
	// TotalCountRelationHeader is [AtLeast] if counting stopped early, and
	// absent otherwise.
	TotalCountRelationHeader = "X-Total-Count-Relation"
	// HasMoreHeader is "true" or "false".
	HasMoreHeader = "X-Has-More"
	// NextCursorHeader is the cursor of the next page, if there is one.
	NextCursorHeader = "X-Next-Cursor"
	// GapsHeader counts the gaps that touch the query's time and resources.
	GapsHeader = "X-History-Gaps"
	// GapListHeader has the newest of them, newest first, at most
	// [MaxGapsListed]: "pods START/END REASON, …".
	GapListHeader = "X-History-Gap-List"
	// IgnoredHeader has the rules that ignore a part of the query's resources
	// and namespaces: "pods namespaces=a,b; nodes changes=PATH; …". It is
	// absent if there are none.
	IgnoredHeader = "X-History-Ignored"
	// SinceHeader is when the recording of the first of the query's resources
	// began. It is absent if that is unknown.
	SinceHeader = "X-History-Since"
	// SinceTrimmedHeader is "true" if [SinceHeader] is the start of what
	// retention has kept, and absent otherwise.
	SinceTrimmedHeader = "X-History-Trimmed"
	// NotRecordedHeader has the query's resources that are not recorded:
	// "leases.coordination.k8s.io excluded, jobs.batch before=TIME, …". It is
	// absent if all are.
	NotRecordedHeader = "X-History-Not-Recorded"
	// AtHeader is the time of a state, in RFC 3339: all pages have the same.
	AtHeader = "X-History-At"
)

// Texts in headers.
const (
	AtLeast           = "gte"        // in [TotalCountRelationHeader]
	OpenEnd           = ".."         // the end of an open gap, in [GapListHeader]
	AllResources      = "*"          // in [IgnoredHeader]
	IgnoredNamespaces = "namespaces" // in [IgnoredHeader]
	IgnoredChanges    = "changes"    // in [IgnoredHeader]
	CutMark           = "..."        // the end of an [IgnoredHeader] that was too long
)

// MaxGapsListed bounds the gaps in a [GapListHeader]. [GapsPath] has all of
// them.
const MaxGapsListed = 8

// MaxNotRecordedLength bounds a [NotRecordedHeader], in bytes. The last entry
// of a longer one is "+N more". [ResourcesPath] has all of it.
const MaxNotRecordedLength = 1000

// MaxIgnoredLength bounds an [IgnoredHeader], in bytes. A longer one is cut and
// ends in [CutMark]. [ResourcesPath] has all of it.
const MaxIgnoredLength = 1000

// The fixed texts of errors. The cause is appended to those that end in ": ".
const (
	NoMatchText            = "no audit data available for the specified time range"
	NoObjectText           = "no events found for this object"
	IncompletePathText     = "namespace, resourceType, and name are required"
	InvalidStartText       = "Invalid start time format: "
	InvalidEndText         = "Invalid end time format: "
	InvalidLimitText       = "Invalid limit: "
	QueryFailedText        = "Query failed: "
	ObjectQueryFailedText  = "Failed to query object history: "
	RelatedQueryFailedText = "Failed to query related events: "
)

// The constants of every [Event]: a watch shows neither the user nor the
// request.
const (
	WatcherUser           = "system:k8s-watcher"
	StageResponseComplete = "ResponseComplete"
	StatusOK              = 200
)

// Annotations of objects in a state. They are not part of the recorded object.
const (
	// HashedAnnotation is "true" in a stripped object with values that were
	// replaced by hashes when it was recorded.
	HashedAnnotation = "watchhistory.io/hashed-values"
	// LostAnnotation is "true" in an object whose contents were lost with a
	// damaged file.
	LostAnnotation = "watchhistory.io/lost-contents"
)

// HealthyStatus is the status in [Health] of a recorder that works.
const HealthyStatus = "healthy"
