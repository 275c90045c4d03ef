package history

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Filter selects records. A record must satisfy every field that is set; the
// zero Filter selects all records, except for those of reserved resources (see
// [Documents]).
//
// A new field needs a condition in the log's conformance suite, an API
// parameter, and a field of the client's queries. It also needs an index, or a
// plan that reads records for it. Reflection tests fail if one of them is
// missing.
type Filter struct {
	Start time.Time // inclusive; zero: no start
	End   time.Time // exclusive; zero: no end

	Resources []schema.GroupResource // any of these; empty: all but the reserved ones
	Namespace NamespaceScope
	Name      string
	UID       types.UID
	Verbs     []Verb // any of these; empty: all

	// Regarding selects the Events whose target has this kind, namespace and
	// name. If both have a UID, the UIDs must be equal, too.
	Regarding *Target
	// Owner selects the objects that have this UID in their ownerReferences.
	Owner types.UID
	// Managers selects the versions that any of these field managers wrote.
	Managers []string
	// Revisions selects versions by their revision; any of these.
	Revisions []uint64
	Classes   []Class // any of these; empty: all

	// View is what the caller may read. nil means everything.
	View View
}

// Matches reports whether the filter selects the record. It defines the
// meaning of a filter: an index that disagrees with it is wrong.
func (f *Filter) Matches(r *Record) bool {
	return f.matchesTime(r.Time) && f.matchesRef(&r.Ref) && f.View.Contains(r) &&
		(len(f.Verbs) == 0 || slices.Contains(f.Verbs, r.Verb)) &&
		(len(f.Classes) == 0 || slices.Contains(f.Classes, r.Class)) &&
		(len(f.Revisions) == 0 || slices.Contains(f.Revisions, r.Revision)) &&
		(f.Owner == "" || slices.Contains(r.Owners, f.Owner)) &&
		(f.Regarding == nil || r.Regarding != nil && f.Regarding.matches(r.Regarding)) &&
		(len(f.Managers) == 0 || slices.ContainsFunc(r.Managers, func(m Manager) bool {
			return slices.Contains(f.Managers, m.Name)
		}))
}

func (f *Filter) matchesTime(t time.Time) bool {
	return !t.Before(f.Start) && (f.End.IsZero() || t.Before(f.End))
}

func (f *Filter) matchesRef(o *ObjectRef) bool {
	r := o.GroupResource()
	return (len(f.Resources) == 0 && !IsReserved(r) || slices.Contains(f.Resources, r)) &&
		f.Namespace.Contains(o.Namespace) &&
		(f.Name == "" || f.Name == o.Name) &&
		(f.UID == "" || f.UID == o.UID)
}

// matches reports whether an Event's target is the one that t describes. A
// target whose UID is only its name is a node that a kubelet reported on.
func (t *Target) matches(of *Target) bool {
	return t.Kind == of.Kind && t.Namespace == of.Namespace && t.Name == of.Name &&
		(t.UID == "" || of.UID == "" || string(of.UID) == of.Name || t.UID == of.UID)
}

// Order is the direction in time in which records are read.
type Order uint8

// The orders. The zero Order is [OldestFirst].
const (
	OldestFirst Order = iota
	NewestFirst
)

// Scan is a query for one page of the records that a filter selects.
type Scan struct {
	Filter

	Order Order
	// After is the position of the previous page's last record, in the scan's
	// order. The zero Cursor starts at the beginning.
	After Cursor
	// Limit is the number of records after which the scan ends; 0 means no
	// limit.
	Limit int
	// Bodies requests [Record.Object], which costs another read per record.
	Bodies bool
}

// Cursor is a position in the log: directly after the record with its time. It
// stays valid while records are appended and while old ones are dropped.
type Cursor struct{ time.Time }

// String returns the cursor as an opaque, URL-safe token. The zero Cursor is
// "".
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(c.UnixNano())))
}

// ParseCursor is the inverse of [Cursor.String]. Any other text is an
// [Invalid] error.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8 {
		return Cursor{}, Errorf(Invalid, "invalid cursor %q: not issued by a recorder", s)
	}
	return Cursor{time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()}, nil
}
