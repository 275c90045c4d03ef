package history

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// StateScan is a query for one page of a state: the newest version that each
// object had at a time. Objects that were deleted before have none. Objects are
// in the order of [ObjectRef.Compare].
//
// The filter selects among these versions. It is applied to the version of that
// time, and not to the object's other versions.
type StateScan struct {
	Filter

	At time.Time // inclusive: a version with this time is part of the state
	// Until, if it is later than At, adds objects that existed at At and were
	// first observed after it, up to Until: they were created by At, and their
	// first version is [Record.Initial]. The state has that version.
	Until  time.Time
	After  ObjectRef // the previous page's last object; zero: from the beginning
	Limit  int       // the number of versions after which the scan ends; 0: no limit
	Bodies bool      // requests [Record.Object]
}

// CompareScan is a query for one page of the differences between two states,
// in the order of [ObjectRef.Compare]. The earlier state has the objects that
// were first observed up to To, as in [StateScan.Until].
type CompareScan struct {
	Filter // of both states, as in [StateScan]

	From, To time.Time // inclusive, as in [StateScan.At]; From must not be after To
	After    ObjectRef // the previous page's last object; zero: from the beginning
	Limit    int       // the number of differences after which the scan ends; 0: no limit
	Bodies   bool      // requests [Record.Object]
}

// Difference is one object whose versions in two states differ. Before is nil
// if only the later state contains it, After if only the earlier one does.
type Difference struct {
	Before, After *Record
}

// Ref returns the object.
func (d *Difference) Ref() ObjectRef {
	if d.After != nil {
		return d.After.Ref
	}
	return d.Before.Ref
}

// Compare orders objects by group, resource, namespace, name and UID. The zero
// ObjectRef is before all objects.
func (o ObjectRef) Compare(other ObjectRef) int {
	return cmp.Or(
		strings.Compare(o.Group, other.Group),
		strings.Compare(o.Resource, other.Resource),
		strings.Compare(o.Namespace, other.Namespace),
		strings.Compare(o.Name, other.Name),
		strings.Compare(string(o.UID), string(other.UID)),
	)
}

// StateCursor is a position in the pages of a state or a comparison. It
// contains the times, so that all pages are about the same moment.
type StateCursor struct {
	From time.Time // of a comparison; otherwise zero
	At   time.Time // the time of the state, or To of a comparison
	// Until is the time of the newest version that the first page could
	// contain. Later pages don't contain newer ones.
	Until time.Time
	Seen  int       // the number of elements before the position
	After ObjectRef // the last object before the position
}

// IsZero reports whether the cursor is the position before the first page.
func (c *StateCursor) IsZero() bool { return c.At.IsZero() }

// String returns the cursor as an opaque, URL-safe token. The zero StateCursor
// is "".
func (c *StateCursor) String() string {
	if c.IsZero() {
		return ""
	}
	var b []byte
	for _, t := range []time.Time{c.From, c.At, c.Until} {
		n := int64(0)
		if !t.IsZero() {
			n = t.UnixNano()
		}
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = binary.AppendUvarint(b, uint64(max(c.Seen, 0)))
	for _, text := range []string{
		c.After.Group, c.After.Resource, c.After.Namespace, c.After.Name, string(c.After.UID),
	} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseStateCursor is the inverse of [StateCursor.String]. Any other text is an
// [Invalid] error.
func ParseStateCursor(s string) (c StateCursor, err error) {
	if s == "" {
		return c, nil
	}
	foreign := Errorf(Invalid, "invalid cursor %q: not issued by a recorder", s)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 3*8 {
		return c, foreign
	}
	for _, t := range []*time.Time{&c.From, &c.At, &c.Until} {
		n := int64(binary.BigEndian.Uint64(b))
		if n < 0 {
			return StateCursor{}, foreign
		}
		if n > 0 {
			*t = time.Unix(0, n).UTC()
		}
		b = b[8:]
	}
	seen, n := binary.Uvarint(b)
	if n <= 0 || seen > maxSeen || c.At.IsZero() {
		return StateCursor{}, foreign
	}
	b, c.Seen = b[n:], int(seen)
	var uid string
	for _, text := range []*string{&c.After.Group, &c.After.Resource, &c.After.Namespace, &c.After.Name, &uid} {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return StateCursor{}, foreign
		}
		end := n + int(length)
		*text, b = string(b[n:end]), b[end:]
	}
	if len(b) > 0 {
		return StateCursor{}, foreign
	}
	c.After.UID = types.UID(uid)
	return c, nil
}

// maxSeen bounds [StateCursor.Seen] in a token, so that it can't overflow.
const maxSeen = 1 << 40
