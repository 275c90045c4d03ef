package v1

import "time"

// Why is the answer of [WhyPath]: what is wrong with an object, since when, and
// the root changes that may have caused it. None of them is known to be the
// cause.
type Why struct {
	At     time.Time `json:"at"`     // the time of the answer
	Object Object    `json:"object"` // the object in the path
	// State is "ready", "progressing", "failing", "done" or "unknown". Others
	// may be added.
	State string `json:"state"`
	Text  string `json:"text,omitempty"` // describes the state: "2/3 ready"
	// Symptoms are those of the object and of what it owns, most serious first.
	Symptoms []Symptom `json:"symptoms"`
	// Onset is when the first symptom began. It is absent if there is none.
	Onset *time.Time `json:"onset,omitempty"`
	// Initial means that the first symptom existed when the recording of its
	// object began. Onset is that time: when it began is not known.
	Initial bool `json:"initial,omitempty"`
	// HealthyUntil is the newest time before the onset at which the object was
	// healthy. It is absent if it never was, as far as it is recorded.
	HealthyUntil *time.Time `json:"healthyUntil,omitempty"`
	// Searched is the start of the time in which changes were searched. It is
	// not before the start of the history.
	Searched *time.Time `json:"searched,omitempty"`
	// Causes are the changes that may have caused the symptoms, the likeliest
	// first.
	Causes []Cause `json:"causes"`
	// Unread is what was not looked at, because a bound was reached: some
	// "relations" of the object, "earlierRelations", older "onsets", whether a
	// reference led nowhere earlier ("dangling"), or "changes" of distant
	// relatives. Others may be added.
	Unread []string `json:"unread,omitempty"`
}

// Symptom is something that is wrong with some objects.
type Symptom struct {
	Code  string    `json:"code"`  // stable, such as "ImagePull"; docs/symptoms.md lists the codes
	Text  string    `json:"text"`  // in a few words
	Since time.Time `json:"since"` // when it began
	// Initial means that it existed when the recording of the object began.
	// Since is that time.
	Initial bool   `json:"initial,omitempty"`
	Object  Object `json:"object"` // the first object that had it
	Count   int    `json:"count"`  // of objects that have it
}

// Cause is a root change that may have caused the symptoms.
type Cause struct {
	// Change is the change, without its object.
	Change Event `json:"change"`
	// Score orders the causes of one answer. It is not a probability.
	Score float64 `json:"score"`
	// Likely is true if enough speaks for the change. If no cause is likely,
	// the record may not contain the cause.
	Likely bool `json:"likely"`
	// Fields are the paths that changed.
	Fields []string `json:"fields"`
	// Path leads from the object with the symptoms to the changed one. It is
	// empty if that is the same, owns it, or is owned by it.
	Path []PathStep `json:"path"`
	// For and Against are reasons in a few words.
	For     []string `json:"for"`
	Against []string `json:"against"` // see For
}

// PathStep is a relation on the way to a changed object.
type PathStep struct {
	Rule   string `json:"rule"`   // of the relation
	Object Object `json:"object"` // to which it leads
}
