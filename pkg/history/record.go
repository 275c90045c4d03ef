package history

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Record is one observed version of an object.
type Record struct {
	Ref     ObjectRef
	Version string // the API version that the object was read in, without the group: "v1"
	Kind    string
	Verb    Verb
	RV      string // the server's resourceVersion, verbatim

	// Time is when the record was committed. The log sets it: unique, strictly increasing even when the clock jumps, in
	// nanoseconds, UTC.
	Time time.Time
	// Revision counts the versions of one incarnation from 1. The log sets it.
	Revision uint64

	// Initial marks an object that already existed when recording began: its creation was not seen.
	Initial bool
	// InferredSince, where it is not zero, marks a record that a relist implied: the change happened somewhere between
	// InferredSince and Time.
	InferredSince time.Time

	// Managers wrote this version, as far as managedFields tell; the newest first.
	Managers []Manager
	// ManagedHashes are fingerprints of all managedFields entries of this version, which the next version's managers are told
	// from. They are kept in the object's head, not in the record, and are set only on the way into the log.
	ManagedHashes []uint64
	// Owners are the UIDs in the object's owner references.
	Owners []types.UID
	// Regarding is an Event's target; nil for every other object.
	Regarding *Target

	// Summary says in words what the version is about. It is nil until it has been
	// computed, which needs the version before.
	Summary *Summary

	// Before is the Object of the version before, nil where it is not at hand. It is set only on the way into the log, which
	// takes less room with it, and which finds out whether it is what it is said to be.
	Before []byte

	// Object is the version's JSON, without managedFields and redacted. It is nil in records that were read without
	// bodies. A deletion carries the object's last state.
	Object []byte
}

// Summary describes a version in two lines.
type Summary struct {
	// Text says in a few words what changed since the version before. It is empty
	// if only noise changed.
	Text string
	// Problem says what is wrong with the object, in the words of its status. It is
	// empty if nothing is.
	Problem string
}

// Manager is a field manager that took part in a version.
//
// The API server records none for a write through some subresources. If a
// version shows that it was written so, its only manager is inferred: it has no
// Operation and no Time, Subresource is what it was written through, and Name is
// who writes there as a rule, or empty.
type Manager struct {
	Name        string    `json:"manager"`
	Operation   string    `json:"operation,omitempty"` // "Update" or "Apply"; empty for an inferred manager
	Subresource string    `json:"subresource,omitempty"`
	Time        time.Time `json:"time,omitzero"`
	// Fields are paths of what changed in the version and belongs to this manager, as in spec.replicas: the first few, and not
	// what is noise. There are none where the version before is not known.
	Fields []string `json:"fields,omitempty"`
}

// IsInferred reports whether the API server recorded no manager of the write.
func (m *Manager) IsInferred() bool {
	return m.Operation == "" && m.Subresource != "" && m.Time.IsZero()
}

// Target is what an Event regards: involvedObject in core/v1. An Event's emitter fills it by hand, so that any field but
// the kind may be empty, and UID may be something else than a UID (kubelets put the node's name there).
type Target struct {
	Group     string    `json:"group,omitempty"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"`
}

// Head is the newest version of an object that is alive, as much of it as is needed to go on from there.
type Head struct {
	Ref           ObjectRef
	RV            string
	ManagedHashes []uint64
}

// Checkpoint is the durable resume point of one resource: every version up to RV is committed. Without an RV there is
// none: no full sync has ended yet, or one has begun since.
type Checkpoint struct {
	Group    string
	Resource string
	RV       string
	Time     time.Time // by when everything up to RV was received; where that is zero, the log sets it to when it was committed
}

// CompleteUntil returns a time before which no change is missing behind the checkpoint.
func (c Checkpoint) CompleteUntil() time.Time { return c.Time.Add(-watchLag) }

// GapStart returns when a gap behind the checkpoint starts that is found now. That is never later: if the clock was set back
// since, what is seen from now on is dated before the checkpoint.
func (c Checkpoint) GapStart(now time.Time) time.Time {
	if complete := c.CompleteUntil(); complete.Before(now) {
		return complete
	}
	return now.UTC()
}

// Batch is committed as a whole or not at all: records, in the order in which they are to be numbered, the checkpoints
// that they lead up to, and the gaps that open before them or end with them. A gap with an end replaces the open one of
// its resource and start.
type Batch struct {
	Records     []*Record
	Checkpoints []Checkpoint
	Gaps        []Gap
}
