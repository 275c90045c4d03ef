package history

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Record is one observed version of an object, as a log stores and returns it.
// It gets into a log as a [NewVersion].
type Record struct {
	Ref     ObjectRef
	Version string // the API version that the object was read in, without the group: "v1"
	Kind    string
	Verb    Verb
	RV      string // the server's resourceVersion, verbatim
	// Created is the object's creationTimestamp, in whole seconds. The log
	// reads it from the first version's Object. It is zero if it is unknown.
	Created time.Time

	// Time is when the record was committed, in UTC with nanoseconds. The log
	// sets it. It is unique, and increases even if the clock is set back.
	Time time.Time
	// Revision is the number of the version within its incarnation, from 1.
	// The log sets it.
	Revision uint64

	// Initial marks the first version of an object that existed before its
	// resource was recorded. Its creation was not observed.
	Initial bool
	// InferredSince is not zero in a record that a relist implied: the change
	// happened between InferredSince and Time.
	InferredSince time.Time

	// Managers are the field managers that wrote the version according to its
	// managedFields, newest first.
	Managers []Manager
	// Owners are the UIDs in the object's ownerReferences.
	Owners []types.UID
	// Regarding is the target of an Event, and nil for all other objects.
	Regarding *Target

	// Class is what a reader looks for in the version. Package fold decides it.
	Class Class

	// Summary describes the version. It is nil until it has been computed,
	// which needs the previous version.
	Summary *Summary

	// Object is the version's JSON, redacted and without managedFields. It is
	// nil in a record that was read without bodies. A delete has the object's
	// last state.
	Object []byte
}

// NewVersion is a version on its way into a log: the record, and hints that the
// log needs to store it but does not return.
//
// A NewVersion is passed by value, and its copies share the Record. When the
// log has committed it, the Record's Time and Revision are set.
type NewVersion struct {
	*Record

	// ManagedHashes are hashes of all managedFields entries of the version. The
	// next version's managers are determined from them. The log stores them in
	// the object's [Head] only.
	ManagedHashes []uint64
	// Before is the Object of the previous version, or nil. It is a hint for
	// delta encoding: the log verifies it by checksum, and ignores it if it is
	// wrong.
	Before []byte
}

// Verb is what happened to the object in a version. The zero Verb is invalid.
type Verb uint8

// The verbs. A watch does not distinguish patches from updates: both are
// [Update].
const (
	Create Verb = iota + 1
	Update
	Delete
)

// String returns the verb as the REST API writes it: "create", "update" or
// "delete".
func (v Verb) String() string {
	switch v {
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	default:
		return fmt.Sprintf("verb(%d)", uint8(v))
	}
}

// ParseVerb is the inverse of [Verb.String]. Any other text is an [Invalid]
// error.
func ParseVerb(s string) (Verb, error) {
	for _, v := range []Verb{Create, Update, Delete} {
		if s == v.String() {
			return v, nil
		}
	}
	return 0, Errorf(Invalid, "unknown verb %q: want create, update or delete", s)
}

// Class distinguishes the versions that a reader looks for from the bulk. The
// zero Class is [Root], so that a version is not hidden if nothing is known.
type Class uint8

// The classes.
const (
	// Root is a change that a person, a program or a node caused, or whose
	// cause is not known.
	Root Class = iota
	// Onset is a consequence of another change in which a problem of the object
	// begins.
	Onset
	// Consequence is any other version that follows from another change.
	Consequence
)

// Classes returns all classes.
func Classes() []Class { return []Class{Root, Onset, Consequence} }

// String returns the class as the REST API writes it: "root", "onset" or
// "consequence".
func (c Class) String() string {
	switch c {
	case Root:
		return "root"
	case Onset:
		return "onset"
	case Consequence:
		return "consequence"
	default:
		return fmt.Sprintf("class(%d)", uint8(c))
	}
}

// ParseClass is the inverse of [Class.String]. Any other text is an [Invalid]
// error.
func ParseClass(s string) (Class, error) {
	for _, c := range Classes() {
		if s == c.String() {
			return c, nil
		}
	}
	return 0, Errorf(Invalid, "unknown class %q: want root, onset or consequence", s)
}

// Summary describes a version in two lines.
type Summary struct {
	// Text describes in a few words what changed since the previous version. It
	// is empty if only noise changed.
	Text string
	// Problem is the problem of the object, in the words of its status. It is
	// empty if there is none.
	Problem string
}

// Manager is a field manager that wrote a version.
//
// The API server records no manager for a write through some subresources. If
// a version shows such a write, its only manager is inferred: it has a
// Subresource, but no Operation and no Time. Its Name is the usual writer of
// that subresource, or empty.
type Manager struct {
	Name        string    `json:"manager"`
	Operation   string    `json:"operation,omitempty"` // "Update" or "Apply"; empty if inferred
	Subresource string    `json:"subresource,omitempty"`
	Time        time.Time `json:"time,omitzero"`
	// Fields are paths that changed in the version and belong to the manager,
	// such as spec.replicas: the first few, without noise. It is empty if the
	// previous version is not known.
	Fields []string `json:"fields,omitempty"`
}

// IsInferred reports whether the API server recorded no manager of the write.
func (m *Manager) IsInferred() bool {
	return m.Operation == "" && m.Subresource != "" && m.Time.IsZero()
}

// Target is the object that an Event is about: involvedObject in core/v1,
// regarding in events.k8s.io/v1.
//
// The Event's emitter writes the fields, and the API server does not check
// them. Any of them but the kind may be empty. Kubelets write the node's name
// into UID.
type Target struct {
	Group     string    `json:"group,omitempty"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
}

// Head is the part of an existing object's newest version that is needed to
// record the next one.
type Head struct {
	Ref           ObjectRef
	RV            string
	ManagedHashes []uint64
}

// Checkpoint is the resourceVersion after which a resource's watch resumes.
// Every version up to RV is committed. RV is empty if no list has completed, or
// if a list has begun since and has not completed.
type Checkpoint struct {
	Group    string
	Resource string
	RV       string
	// Time is when everything up to RV had been received. If it is zero, or
	// later than the commit, the log sets it to the time of the commit: that of
	// its clock or of its newest record, whichever is later.
	Time time.Time
}

// CompleteUntil returns a time before which no change is missing. It is a
// little before the checkpoint's time, because watches report late.
func (c Checkpoint) CompleteUntil() time.Time { return c.Time.Add(-watchLag) }

// GapStart returns the start of a gap after the checkpoint that is found now.
//
// The start is never after now. If the clock was set back, new records have
// times before the checkpoint, and the gap must precede them.
func (c Checkpoint) GapStart(now time.Time) time.Time {
	if complete := c.CompleteUntil(); complete.Before(now) {
		return complete
	}
	return now.UTC()
}

// Batch is committed atomically: new versions in the order in which they are
// numbered, checkpoints that cover them, and gaps.
//
// A gap with an end replaces the open gap with the same resource and start. If
// the log's newest record, including those of the batch, is later than that
// end, the log stores the record's time as the end.
type Batch struct {
	Versions    []NewVersion
	Checkpoints []Checkpoint
	Gaps        []Gap
}

// Limits of a record's data apart from its object. This data is copied into
// every index within one transaction. A log rejects larger records.
const (
	// MaxText bounds, in bytes, each of: a name, a namespace, a UID, a
	// resourceVersion, a group with its resource, a version with its kind.
	MaxText = 1 << 10
	// MaxOwners bounds the owners. Each has an index entry.
	MaxOwners = 512
	// MaxManagedEntries bounds the managedFields entries.
	MaxManagedEntries = 4096
	// MaxAttributes bounds [Record.Attributes].
	MaxAttributes = 64 << 10
)

// managerOverhead is the encoded size, in bytes, of a manager's time and of the
// lengths of its texts, at most.
const managerOverhead = 32

// Attributes returns the approximate size, in bytes, of the record's data apart
// from its object and identity.
func (r *Record) Attributes() int {
	n := len(r.RV)
	for i := range r.Managers {
		n += r.Managers[i].Size()
	}
	for _, uid := range r.Owners {
		n += len(uid)
	}
	if r.Regarding != nil {
		n += r.Regarding.Size()
	}
	if r.Summary != nil {
		n += len(r.Summary.Text) + len(r.Summary.Problem)
	}
	return n
}

// Size returns the approximate encoded size of the manager, in bytes.
func (m *Manager) Size() int {
	n := len(m.Name) + len(m.Operation) + len(m.Subresource) + managerOverhead
	for _, f := range m.Fields {
		n += len(f)
	}
	return n
}

// Size returns the size of the target's texts, in bytes.
func (t *Target) Size() int {
	return len(t.Group) + len(t.Kind) + len(t.Namespace) + len(t.Name) + len(t.UID)
}
