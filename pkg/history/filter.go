package history

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Filter selects records. Every field narrows; the zero Filter selects all.
type Filter struct {
	Start time.Time // inclusive
	End   time.Time // exclusive; zero: no end

	Resources []schema.GroupResource // any of these
	Namespace string                 // [NoNamespace]: cluster-scoped objects only
	Name      string
	UID       types.UID
	Verbs     []Verb // any of these

	// Regarding selects the Events whose target has this kind, namespace and name and, where both give one, this UID.
	Regarding *Target
	// Owner selects the objects that name this UID in their owner references.
	Owner types.UID
	// Manager selects the versions that this field manager wrote.
	Manager string
	// Revisions selects versions by their number within their incarnation.
	Revisions []uint64
}

// Matches tells whether the filter selects the record. It is the definition that every index has to agree with.
func (f *Filter) Matches(r *Record) bool {
	return f.matchesTime(r.Time) && f.matchesRef(&r.Ref) &&
		(len(f.Verbs) == 0 || slices.Contains(f.Verbs, r.Verb)) &&
		(len(f.Revisions) == 0 || slices.Contains(f.Revisions, r.Revision)) &&
		(f.Owner == "" || slices.Contains(r.Owners, f.Owner)) &&
		(f.Regarding == nil || r.Regarding != nil && f.Regarding.matches(r.Regarding)) &&
		(f.Manager == "" || slices.ContainsFunc(r.Managers, func(m Manager) bool { return m.Name == f.Manager }))
}

func (f *Filter) matchesTime(t time.Time) bool {
	return !t.Before(f.Start) && (f.End.IsZero() || t.Before(f.End))
}

func (f *Filter) matchesRef(o *ObjectRef) bool {
	namespace := o.Namespace
	if namespace == "" {
		namespace = NoNamespace
	}
	return (len(f.Resources) == 0 || slices.Contains(f.Resources, o.GroupResource())) &&
		(f.Namespace == "" || f.Namespace == namespace) &&
		(f.Name == "" || f.Name == o.Name) &&
		(f.UID == "" || f.UID == o.UID)
}

func (t *Target) matches(of *Target) bool {
	return t.Kind == of.Kind && t.Namespace == of.Namespace && t.Name == of.Name &&
		(t.UID == "" || of.UID == "" || string(of.UID) == of.Name || t.UID == of.UID)
}

// Order is the direction in time in which records are read.
type Order uint8

// The orders: the zero Order is oldest first.
const (
	OldestFirst Order = iota
	NewestFirst
)

// Scan is one page of a query.
type Scan struct {
	Filter

	Order Order
	// After continues behind the last record of the page before, in this scan's order. The zero Cursor is the beginning.
	After Cursor
	// Limit is the number of records to stop after; 0 means all.
	Limit int
	// Bodies asks for [Record.Object] too.
	Bodies bool
}

// Cursor is a position in the log: just behind the record of that time. It stays valid while records arrive and while
// old ones are dropped.
type Cursor struct{ time.Time }

// String returns the cursor as an opaque, URL-safe token; the zero Cursor as "".
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(c.UnixNano())))
}

// ParseCursor is the inverse of [Cursor.String]. Anything else is an [Invalid] error.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8 {
		return Cursor{}, Errorf(Invalid, "cursor %q is none that this recorder gave out", s)
	}
	return Cursor{time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()}, nil
}
