package v1

import (
	"encoding/json"
	"time"
)

// Event is one recorded version of an object, in the form of an audit event.
type Event struct {
	// Timestamp is when the version was committed, in UTC. It is unique in the
	// whole log.
	Timestamp      time.Time `json:"timestamp"`
	Verb           string    `json:"verb"`           // "create", "update" or "delete"
	User           string    `json:"user"`           // [WatcherUser]
	Namespace      string    `json:"namespace"`      // "" for cluster-scoped objects
	ResourceType   string    `json:"resourceType"`   // the plural of the object's resource
	ResourceName   string    `json:"resourceName"`   // the object's name
	ResponseStatus int       `json:"responseStatus"` // [StatusOK]
	// Message describes the change and, after a colon, the object's problem.
	Message string `json:"message"`
	// ObjectChanges is the whole object in this version, without the metadata
	// that the API server maintains. It is absent with [ParamSummary].
	ObjectChanges json.RawMessage `json:"objectChanges,omitempty"`
	// PreviousObject is the whole object in the version before an update. It is
	// absent unless [ParamPrevious] requests it, and if that version is not
	// known.
	PreviousObject json.RawMessage   `json:"previousObject,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"` // of the object
	Stage          string            `json:"stage"`                 // [StageResponseComplete]
	RequestURI     string            `json:"requestURI"`            // the object's path on the API server
	SourceIPs      []string          `json:"sourceIPs,omitempty"`   // always absent

	Group           string `json:"group"`           // the API group, "" for the core group
	APIVersion      string `json:"apiVersion"`      // the version in which the object was read
	Kind            string `json:"kind"`            // of the object
	UID             string `json:"uid"`             // of the object
	ResourceVersion string `json:"resourceVersion"` // of this version of the object
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
	// Class is [ClassRoot], [ClassOnset] or [ClassConsequence].
	Class string `json:"class"`
	// Outcome is how a root change ended, as far as the record shows. It is
	// absent unless [ParamOutcome] requests it.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Delivery is the release that made a root change. It is absent unless
	// [ParamOutcome] requests it.
	Delivery *Delivery `json:"delivery,omitempty"`
	// Consequences is how many versions follow from a root change, up to the
	// next one of the object. No more than 1,000 are counted. It is absent
	// unless [ParamOutcome] requests it.
	Consequences int `json:"consequences,omitempty"`
}

// Delivery is a release: of Helm, Argo CD or Flux, or the cause that kubectl
// recorded. All fields but Text and Tool may be absent.
type Delivery struct {
	Text      string `json:"text"`                // in a few words: "chart api-1.2.4"
	Tool      string `json:"tool"`                // "helm", "argocd", "flux" or "kubectl"
	Kind      string `json:"kind,omitempty"`      // "release", "app", "kustomization" or "helmrelease"
	Name      string `json:"name,omitempty"`      // of the release or of the tool's object
	Namespace string `json:"namespace,omitempty"` // of the release or of the tool's object
	Chart     string `json:"chart,omitempty"`     // the Helm chart with its version
	Revision  string `json:"revision,omitempty"`  // the number of a release, or the branch or tag
	Commit    string `json:"commit,omitempty"`    // the complete hash of the Git commit
	Cause     string `json:"cause,omitempty"`     // that a person or a pipeline gave
}

// Manager is a field manager and its write.
type Manager struct {
	Manager     string    `json:"manager"`               // its name
	Operation   string    `json:"operation,omitempty"`   // "Apply" or "Update"
	Subresource string    `json:"subresource,omitempty"` // "" for the object itself
	Time        time.Time `json:"time,omitzero"`         // of the write, in whole seconds
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
	Start time.Time `json:"start"` // the earliest time of the change
	End   time.Time `json:"end"`   // the latest time of the change
}

// ObjectHistory is the history of one object: its own records, and those of the
// Kubernetes Events regarding it. The lists are never null.
type ObjectHistory struct {
	Namespace     string  `json:"namespace"`     // "" for cluster-scoped objects
	ResourceType  string  `json:"resourceType"`  // the plural, or the type in the path if it was never recorded
	ResourceName  string  `json:"resourceName"`  // as in the path
	WatchEvents   []Event `json:"watchEvents"`   // the records of every incarnation with this name
	RelatedEvents []Event `json:"relatedEvents"` // the records of the Kubernetes Events regarding it
}

// ResourceList is the recorder's catalogue: the resources that it records or
// has recorded, and the others that the API server serves.
type ResourceList struct {
	Resources []Resource `json:"resources"` // never null
}

// GapList is the answer of [GapsPath]. The gaps are ordered by their starts.
type GapList struct {
	Gaps []Gap `json:"gaps"` // never null
}

// Gap is an interval in which changes of a resource may be missing.
type Gap struct {
	Group    string    `json:"group"`    // "" for the core group
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
	Type StreamType `json:"type"` // which of the other fields are present
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
	// Existed is how many objects of the query existed at From, without those
	// that have an owner and those that Kubernetes derives from others. It is
	// absent unless [ParamCount] requests it, and on later pages.
	Existed *ObjectCount `json:"existed,omitempty"`
}

// ObjectCount is a number of objects.
type ObjectCount struct {
	Objects int `json:"objects"` // the number
	// Initial is how many of them were first observed after From, when their
	// recording began. They are compared with their first versions.
	Initial int `json:"initial,omitempty"`
	// Relation is [AtLeast] if there are more objects.
	Relation string `json:"relation,omitempty"`
}

// Difference describes an object that differs between two times.
type Difference struct {
	// Change is "created", "deleted", "recreated" (the object has another UID)
	// or "changed".
	Change       string `json:"change"`
	Namespace    string `json:"namespace"`    // "" for cluster-scoped objects
	ResourceType string `json:"resourceType"` // the plural
	ResourceName string `json:"resourceName"` // the object's name
	Group        string `json:"group"`        // "" for the core group
	APIVersion   string `json:"apiVersion"`   // the version in which the object was read
	Kind         string `json:"kind"`         // of the object
	UID          string `json:"uid"`          // at the later time, or of the deleted object
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
	// Remainder is what differs if a changed object is as it was in everything
	// else that people and programs set: "status" for the status and the
	// bookkeeping of Kubernetes, or "restart" if the time of a restart differs,
	// too. It is absent if more differs, or only noise.
	Remainder string `json:"remainder,omitempty"`
	// Derived means that the object has an owner, that Kubernetes derives it
	// from others, as Events, or that it makes it for each namespace.
	Derived bool `json:"derived,omitempty"`
	// Changes are all changes of an object that exists at both times. They are
	// absent with [ParamSummary].
	Changes []Change `json:"changes,omitempty"`
}

// RelationGraph is the answer of [RelationsPath].
type RelationGraph struct {
	At time.Time `json:"at"` // UTC
	// Objects begin with the one that the query is about.
	Objects   []RelatedObject `json:"objects"`   // never null
	Relations []Relation      `json:"relations"` // never null
}

// RelatedObject is an object of a [RelationGraph].
type RelatedObject struct {
	// State is one of:
	//   - "exists": the object existed at the time
	//   - "missing": it did not, although others lead to it
	//   - "unrecorded": it is not known, because the type was not recorded,
	//     changes may be missing, or the caller may not read it
	State     string `json:"state"`
	Namespace string `json:"namespace"` // "" for cluster-scoped objects
	// ResourceType is the plural. It is "" if only the kind is known.
	ResourceType string `json:"resourceType"`
	// ResourceName is the object's name. It is "" if the relation is to all
	// objects of the type in the namespace, or if none of them is selected.
	ResourceName string `json:"resourceName"`
	Group        string `json:"group"` // "" for the core group, "*" for all
	// APIVersion is the version in which the object was read. It is absent
	// unless the object existed.
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"` // absent if it is not known
	UID        string `json:"uid,omitempty"`  // absent if it is not known
	// Revision is that of the version at the time. It is absent unless the
	// object existed.
	Revision uint64 `json:"revision,omitempty"`
	// Timestamp is when that version was recorded. It is absent unless the
	// object existed.
	Timestamp time.Time `json:"timestamp,omitzero"`
}

// Relation leads from one object of a [RelationGraph] to another one.
type Relation struct {
	From int `json:"from"` // the position of the object that names or selects the other one
	To   int `json:"to"`   // the position of the other object
	// Rule is the kind of relation, such as "owner", "envFrom" or "selector".
	// Others may be added.
	Rule string `json:"rule"`
	// Path is the field of the object From that has the name or the selector.
	// It is absent if there is none.
	Path     string `json:"path,omitempty"`
	Optional bool   `json:"optional,omitempty"` // From works without To
}

// Change is a value that differs between two versions of an object.
type Change struct {
	Path string `json:"path"` // "spec.template.spec.containers[name=app].image"
	// Change is "added", "removed", "changed" or, for a list with keys,
	// "reordered". Old and New are then the keys of the items.
	Change string          `json:"change"`
	Old    json.RawMessage `json:"old,omitempty"`   // absent if the value was added
	New    json.RawMessage `json:"new,omitempty"`   // absent if the value was removed
	Noise  bool            `json:"noise,omitempty"` // the change contains no information about the object
}

// Resource describes a recorded resource with the names that discovery gave it.
type Resource struct {
	Group      string   `json:"group"`                // "" for the core group
	Version    string   `json:"version"`              // the API version that is watched
	Plural     string   `json:"plural"`               // the name of the resource
	Singular   string   `json:"singular,omitempty"`   // another name, as discovery gave it
	Kind       string   `json:"kind"`                 // of its objects
	ShortNames []string `json:"shortNames,omitempty"` // further names
	Namespaced bool     `json:"namespaced"`           // whether its objects are in namespaces
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
	Kind       string   `json:"kind"`                 // of the objects
	Singular   string   `json:"singular,omitempty"`   // another name of the resource
	ShortNames []string `json:"shortNames,omitempty"` // further names
	Namespaced bool     `json:"namespaced"`           // whether the objects were in namespaces
}

// Ignored describes which versions of a resource's objects are not recorded
// because of rules.
type Ignored struct {
	Namespaces []string `json:"namespaces,omitempty"` // all versions of objects in these
	Changes    []string `json:"changes,omitempty"`    // versions in which only the values at these paths changed
	Versions   uint64   `json:"versions"`             // ignored since the recorder started
}

// Catalogue is the answer of [CataloguePath]: what the API server served at a
// time, as it describes it in documents.
type Catalogue struct {
	At time.Time `json:"at"` // UTC
	// Read is when the documents were last read completely. Later changes are
	// not known.
	Read time.Time `json:"read,omitzero"`
	// Version is the document "version", as the API server served it. It is
	// absent if it is not known.
	Version json.RawMessage `json:"version,omitempty"`
	// Documents are those that were served, ordered by name.
	Documents []Document `json:"documents"` // never null
	// Unread are the paths that could not be read at the time. Documents with
	// such a path, or below it, may have been others.
	Unread []UnreadDocument `json:"unread"` // never null
	// Gaps touch the time. The documents may have changed and changed back.
	Gaps []CatalogueGap `json:"gaps"` // never null
}

// Document is a document and its version at a time.
type Document struct {
	// Name is the path on the API server, without the first slash:
	// "openapi/v3/apis/apps/v1".
	Name string `json:"name"`
	DocumentVersion
}

// DocumentVersion is one version of a document.
type DocumentVersion struct {
	Timestamp time.Time `json:"timestamp"` // when it was recorded, UTC
	Verb      string    `json:"verb"`      // "create", "update" or "delete"
	// Hash identifies the content: the SHA-256, in hexadecimal digits. It is
	// absent in a deletion.
	Hash string `json:"hash,omitempty"`
	Size int    `json:"size,omitempty"` // of the content, in bytes
	// Initial means that the document was served before it was first read.
	Initial bool `json:"initial,omitempty"`
	// Inferred is when the change happened: at some time in the interval. It is
	// absent in an initial version.
	Inferred *Interval `json:"inferred,omitempty"`
	// Until is when the version ended: at some time in the interval. It is
	// absent if no later version is recorded.
	Until *Interval `json:"until,omitempty"`
}

// UnreadDocument is a path that can't be read. Nothing is known about the
// document of that name, and about those below it.
type UnreadDocument struct {
	Name string `json:"name"` // the path, without the first slash
	// Since is the last time at which the path was read. It is absent if it
	// never was.
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason"`           // the code of the cause
	Detail string    `json:"detail,omitempty"` // the cause, for people
}

// CatalogueGap is an interval in which the documents were not read. Reason and
// detail are those of a [Gap].
type CatalogueGap struct {
	Start  time.Time `json:"start"`            // UTC
	End    time.Time `json:"end"`              // UTC
	Reason string    `json:"reason"`           // the code of the cause
	Detail string    `json:"detail,omitempty"` // the cause, for people
}

// DocumentHistory is the answer of [CataloguePath]/{document} with
// [ParamVersions].
type DocumentHistory struct {
	Name     string            `json:"name"`     // of the document
	Versions []DocumentVersion `json:"versions"` // oldest first, never null
	// Gaps touch the time of the query.
	Gaps []CatalogueGap `json:"gaps"` // never null
}

// Recorder is the answer of [RecorderPath].
type Recorder struct {
	Version   string    `json:"version"`          // of the program, such as "v1.2.3"
	GoVersion string    `json:"goVersion"`        // of the Go runtime
	Platform  string    `json:"platform"`         // the operating system and the architecture, such as "linux/amd64"
	Started   time.Time `json:"started,omitzero"` // when the process started, in UTC
	// RetentionDays is how many days of history are kept. Fewer are kept if
	// they exceed the limit of the storage. It is absent if that is unknown.
	RetentionDays int `json:"retentionDays,omitempty"`
	// ClusterUID identifies the recorded cluster: it is the UID of its
	// namespace kube-system. It is absent if that is not recorded.
	ClusterUID string `json:"clusterUid,omitempty"`
}

// Health is the answer of [HealthPath].
type Health struct {
	Status string `json:"status"` // [HealthyStatus]
}

// ErrorBody is the answer to a failed request, unless a fixed text is required.
type ErrorBody struct {
	Error Error `json:"error"` // what is wrong
}

// Error is a code for programs, and a message for people. The code is one of
// those of package history, or "method_not_allowed".
type Error struct {
	Code    string `json:"code"`    // for programs
	Message string `json:"message"` // for people, with the name of a wrong parameter
	// Parameter is the query parameter whose value caused the error. The
	// message then begins with "parameter NAME: ".
	Parameter string `json:"parameter,omitempty"`
}
