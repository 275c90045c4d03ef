package v1

import "time"

// FoldedPage is a page of root changes and problems with what follows from
// them: the answer of [EventsPath] with [ParamFold].
type FoldedPage struct {
	// Rows are in the order of the query. [TotalCountHeader] counts the root
	// changes and onsets of the query, and not the rows.
	Rows []Row `json:"rows"`
}

// Row is one line of a folded page: root changes that belong together, or a
// problem without a root change.
type Row struct {
	// Kind is "change" for one change, "repeat" for the same change of one
	// object several times, "fight" for a field that two writers change
	// alternately, "bulk" for the same change of several objects, "removal" for
	// the deletion of a namespace with its objects, and "problem" for problems
	// of which the page has no root change. Others may be added.
	Kind  string    `json:"kind"`
	Start time.Time `json:"start"` // of the first change or problem
	End   time.Time `json:"end"`   // of the last change or problem
	// Object is the object that the row is about: that of the last change, or
	// the outermost owner of the objects with the problem.
	Object Object `json:"object"`
	// Objects is the number of objects that were changed.
	Objects int `json:"objects"`
	// Summary describes in a few words what the changes have in common.
	Summary string `json:"summary"`
	// Writers wrote the changes. The list is empty if the API server recorded
	// no writer.
	Writers []Writer `json:"writers"`
	// Changes are the root changes, oldest first, without objects.
	Changes []Event `json:"changes"`
	// Problems began after the changes, oldest first.
	Problems []Problem `json:"problems"`
	// Outcome is how the changes ended, as far as the record shows. It is
	// absent if that is not known, or if nothing is expected to follow.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Delivery is the release that made the last change, in a few words, such
	// as "chart api-1.2.4".
	Delivery string `json:"delivery,omitempty"`
	// Again is the revision of an earlier version whose contents the last
	// change restored.
	Again uint64 `json:"again,omitempty"`
	// UsedBy are the objects that use the changed ConfigMap or Secret at the
	// end of the query.
	UsedBy []User `json:"usedBy,omitempty"`
	// After is an earlier change of configuration that the failing object uses.
	After *ObjectRevision `json:"after,omitempty"`
	// Followed are the first of the consequences, oldest first, without
	// objects. Those that are only noise are omitted. [ParamConsequences] is
	// how many there are at most.
	Followed []Event `json:"followed,omitempty"`
	// Consequences is the number of versions that follow from the changes.
	Consequences int `json:"consequences"`
	// ConsequencesRelation is [AtLeast] if there are more consequences.
	ConsequencesRelation string `json:"consequencesRelation,omitempty"`
}

// User is an object that uses a ConfigMap or a Secret.
type User struct {
	Object
	// OutdatedPods is the number of its pods that run with the contents before
	// the change: they took environment variables from it, and started earlier.
	OutdatedPods int `json:"outdatedPods,omitempty"`
}

// Outcome is how a change ended.
type Outcome struct {
	// State is "ready", "progressing", "failing" or "done". Others may be
	// added.
	State string `json:"state"`
	// Text describes the state in a few words: "3/3 ready", or "2 pods
	// ImagePullBackOff".
	Text string `json:"text"`
	// AfterSeconds is how long after the last change the state was reached. It
	// is absent if that is not known.
	AfterSeconds *float64 `json:"afterSeconds,omitempty"`
}

// Object identifies an object.
type Object struct {
	Group        string `json:"group"`        // the API group, "" for the core group
	ResourceType string `json:"resourceType"` // the plural; "" if it is not known
	Kind         string `json:"kind"`         // of the object
	Namespace    string `json:"namespace"`    // "" for cluster-scoped objects
	Name         string `json:"name"`         // of the object
	UID          string `json:"uid"`          // of the object
}

// ObjectRevision identifies a version of an object.
type ObjectRevision struct {
	Object   Object `json:"object"`   // that was changed
	Revision uint64 `json:"revision"` // of the version
}

// Writer is a field manager, or the usual writer of a subresource.
type Writer struct {
	Name  string `json:"name"`            // of the manager
	Short string `json:"short"`           // as people call it, such as "kubectl edit"
	Class string `json:"class,omitempty"` // "person", "automation" or "system"
}

// Problem is the beginning of an object's problem.
type Problem struct {
	Timestamp time.Time `json:"timestamp"` // of the version in which it begins
	Object    Object    `json:"object"`    // that has the problem; for an Event, its target
	Revision  uint64    `json:"revision"`  // of the version
	Text      string    `json:"text"`      // in the words of the object's status, or of the Event
}
