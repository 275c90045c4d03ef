package v1

// The paths of the API. The comments of the paths, parameters, headers and
// fields are the descriptions in the document of [OpenAPIPath].
const (
	// EventsPath returns the timeline: records of all objects, oldest first.
	EventsPath = "/api/v1/events"
	// ObjectPath returns the records of one object, and those of the Kubernetes
	// Events regarding it. It is a template.
	ObjectPath = "/api/v1/events/{namespace}/{resourceType}/{name}"
	// StatePath returns objects as they were at a time, as a List.
	StatePath = "/api/v1/state"
	// ComparePath returns the objects that differ between two times.
	ComparePath = "/api/v1/compare"
	// RelationsPath returns what an object used, owned and selected at a time,
	// and what used, owned and selected it. It is a template.
	RelationsPath = "/api/v1/relations/{namespace}/{resourceType}/{name}"
	// WhyPath returns what is wrong with an object at a time, and the changes
	// that may have caused it. It is a template.
	WhyPath = "/api/v1/why/{namespace}/{resourceType}/{name}"
	// ResourcesPath returns the catalogue: recorded resources with their
	// states, and served resources that are not recorded.
	ResourcesPath = "/api/v1/resources"
	// GapsPath returns the intervals in which changes may be missing.
	GapsPath = "/api/v1/gaps"
	// CataloguePath returns what the API server served at a time: its version,
	// and its documents with their hashes.
	CataloguePath = "/api/v1/catalogue"
	// DocumentPath returns one document as it was at a time, or its history. It
	// is a template. The document's name may contain slashes.
	DocumentPath = "/api/v1/catalogue/{document}"
	// RecorderPath returns the version of the recorder, and how long it keeps
	// history.
	RecorderPath = "/api/v1/recorder"
	// OpenAPIPath returns this document.
	OpenAPIPath = "/api/v1/openapi.json"
	// HealthPath answers while the process serves. Older clients use it.
	HealthPath = "/health"
	// LivezPath answers while the process serves.
	LivezPath = "/livez"
	// ReadyzPath answers as soon as history can be read, and lists what is not
	// in sync. It never fails because of that.
	ReadyzPath = "/readyz"
	// MetricsPath returns metrics in the text format of Prometheus.
	MetricsPath = "/metrics"
)

// ContentType is the media type of all answers except the fixed texts, the
// probes and the metrics.
const ContentType = "application/json"

// RelationsRoot is what [RelationsPath] begins with.
const RelationsRoot = "/api/v1/relations"

// WhyRoot is what [WhyPath] begins with.
const WhyRoot = "/api/v1/why"

// MaxCauses is the largest value of [ParamLimit] for [WhyPath].
const MaxCauses = 100

// MaxConsequences is the largest value of [ParamConsequences].
const MaxConsequences = 1000

// MaxDepth is the largest value of [ParamDepth].
const MaxDepth = 5

// The parameters of [ObjectPath], [RelationsPath], [WhyPath] and
// [DocumentPath].
const (
	// PathNamespace is the object's namespace, or "-" for a cluster-scoped
	// object.
	PathNamespace = "namespace"
	// PathResourceType is the object's type in any form that kubectl accepts:
	// pods, deploy, Deployment, deployments.apps.
	PathResourceType = "resourceType"
	// PathName is the object's name.
	PathName = "name"
	// PathDocument is the document's name: its path on the API server, without
	// the first slash. It may contain slashes.
	PathDocument = "document"
)

// The query parameters. All are optional: an empty value means that the
// parameter is absent. Unknown parameters are ignored. A parameter with one or
// more values is repeated, or its values are separated by commas.
const (
	// ParamStart selects records at or after this time, in RFC 3339. For gaps,
	// it selects those that have not ended before.
	ParamStart = "start"
	// ParamEnd selects records before this time, in RFC 3339. For gaps, it
	// selects those that began before.
	ParamEnd = "end"
	// ParamNamespace selects objects in these namespaces; "-" selects
	// cluster-scoped objects.
	ParamNamespace = "namespace"
	// ParamResourceType selects objects of these types, in any form that
	// kubectl accepts: pods, deploy, Deployment, deployments.apps.
	ParamResourceType = "resourceType"
	// ParamResourceName selects objects with this name.
	ParamResourceName = "resourceName"
	// ParamGroup selects objects of this API group; [CoreGroup] is the group
	// without a name.
	ParamGroup = "group"
	// ParamUID selects one incarnation of an object.
	ParamUID = "uid"
	// ParamVerb selects versions by what happened: create, update or delete.
	// Other words match nothing.
	ParamVerb = "verb"
	// ParamUser selects by user. Anything but [WatcherUser] matches nothing,
	// because a watch does not contain the user.
	ParamUser = "user"
	// ParamManager selects versions that one of these field managers wrote.
	ParamManager = "manager"
	// ParamWriter selects versions by who wrote them, in the words of
	// operators: "kubectl", "kubectl edit", "argocd", "?" if no writer is
	// recorded. A "!" before a name excludes the writer. With [ParamFold], it
	// selects rows.
	ParamWriter = "writer"
	// ParamText selects versions with this text in their summary, their
	// problem, or KIND/NAME. Case matters only if the text has a capital
	// letter. With [ParamFold], it selects rows.
	ParamText = "text"
	// ParamClass selects versions of any of these classes: root, onset or
	// consequence.
	ParamClass = "class"

	// ParamLabelSelector selects versions of objects with these labels. It has
	// the syntax of the Kubernetes API.
	ParamLabelSelector = "labelSelector"
	// ParamFieldSelector selects versions of objects with these fields. It has
	// the syntax of the Kubernetes API; docs/api.md lists the fields.
	ParamFieldSelector = "fieldSelector"
	// ParamReason selects Kubernetes Events with one of these reasons.
	ParamReason = "reason"
	// ParamType selects Kubernetes Events with one of these types.
	ParamType = "type"
	// ParamQuery selects versions for which this CEL expression is true. Its
	// variables are object, old, changed, managers and verb.
	ParamQuery = "q"

	// ParamLimit is the largest number of records on the page. If it is absent,
	// not positive, or above the recorder's maximum, it is that maximum.
	ParamLimit = "limit"
	// ParamCursor continues after the previous page. It is the header
	// [NextCursorHeader] of that page.
	ParamCursor = "cursor"
	// ParamOrder is the order of the records: asc begins with the oldest one,
	// desc with the newest one.
	ParamOrder = "order"
	// ParamSummary omits the objects, and the changes of a comparison.
	ParamSummary = "summary"
	// ParamEmpty is the status of the answer if nothing matches.
	ParamEmpty = "empty"
	// ParamFold returns a [FoldedPage] of root changes instead of single
	// records. It excludes [ParamWatch], [ParamClass] and [ParamSummary].
	ParamFold = "fold"
	// ParamConsequences is how many consequences of each row are returned with
	// [ParamFold], from 0 to [MaxConsequences].
	ParamConsequences = "consequences"
	// ParamOutcome adds to each root change how it ended, and the release that
	// made it.
	ParamOutcome = "outcome"
	// ParamPrevious adds to each update the object in the version before it. It
	// has no effect together with [ParamSummary], [ParamFold] or [ParamWatch].
	ParamPrevious = "previous"
	// ParamWatch returns a stream of [StreamItem] instead of a page.
	ParamWatch = "watch"

	// ParamRevision selects these revisions of the object, and no Events.
	ParamRevision = "revision"
	// ParamDescendants includes the Events of everything that the object ever
	// owned, directly or not.
	ParamDescendants = "descendants"

	// ParamAt is the time of the state, the relations or the catalogue, in RFC
	// 3339, or [Now]. A version of exactly this time is included.
	ParamAt = "at"
	// ParamDepth is the number of relations between the object and the farthest
	// others, from 1 to [MaxDepth]. Owners and owned objects are followed to
	// their end in any case.
	ParamDepth = "depth"
	// ParamStrip returns the objects as kubectl apply accepts them.
	ParamStrip = "strip"
	// ParamProblem returns the objects that had a problem at the time.
	ParamProblem = "problem"
	// ParamFrom is the earlier time, in RFC 3339. It is required without a
	// cursor.
	ParamFrom = "from"
	// ParamTo is the later time, in RFC 3339, or [Now].
	ParamTo = "to"
	// ParamNoise includes objects of which only noise differs.
	ParamNoise = "noise"
	// ParamCount counts the objects that existed at the earlier time.
	ParamCount = "count"

	// ParamHash selects the version of a document with this content, at any
	// time.
	ParamHash = "hash"
	// ParamVersions returns the history of a document instead of its content.
	ParamVersions = "versions"
)

// The values of parameters. The first of each group is the default.
const (
	OrderAscending  = "asc"
	OrderDescending = "desc"

	EmptyNotFound = "404"
	EmptyOK       = "200"

	// ClassRoot is the class of a change that a person, a program or a node
	// caused, or whose cause is not known.
	ClassRoot = "root"
	// ClassOnset is the class of a consequence in which a problem of the object
	// begins.
	ClassOnset = "onset"
	// ClassConsequence is the class of any other version that follows from
	// another change: of status, of an object that a controller owns, and of an
	// Event.
	ClassConsequence = "consequence"

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
	// HasMoreHeader reports whether more records follow this page: "true" or
	// "false".
	HasMoreHeader = "X-Has-More"
	// NextCursorHeader is the cursor of the next page. It is absent on the last
	// page.
	NextCursorHeader = "X-Next-Cursor"
	// GapsHeader counts the gaps that touch the query's time and resources.
	GapsHeader = "X-History-Gaps"
	// GapListHeader has the newest gaps, newest first, at most 8: "pods
	// START/END REASON, …". It is absent if there are none.
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
	// RestrictedHeader is "true" if the caller may read less than the query is
	// about, and absent otherwise.
	RestrictedHeader = "X-History-Restricted"
	// AtHeader is the time of a state, in RFC 3339: all pages have the same.
	AtHeader = "X-History-At"
	// TimestampHeader is when a version of a document was recorded.
	TimestampHeader = "X-History-Timestamp"
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
