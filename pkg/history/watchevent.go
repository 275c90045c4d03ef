package history

import "fmt"

// WatchEvent is one change as a watch or a list of the API server served it.
type WatchEvent struct {
	Type WatchEventType
	// Object is the object's JSON, byte for byte. The producer reuses the
	// buffer for the next event: a consumer must copy the bytes that it keeps.
	Object []byte
}

// WatchEventType is the kind of change that a watch reports. The zero
// WatchEventType is invalid.
type WatchEventType uint8

// The types of watch events that carry a version of an object. Bookmarks and
// errors carry none, and are not WatchEvents.
const (
	Added    WatchEventType = iota + 1 // the object was created, or was listed
	Modified                           // the object changed
	Deleted                            // the object was deleted; Object is its last state
)

// String returns the type as the watch protocol writes it: "ADDED", "MODIFIED"
// or "DELETED".
func (t WatchEventType) String() string {
	switch t {
	case Added:
		return "ADDED"
	case Modified:
		return "MODIFIED"
	case Deleted:
		return "DELETED"
	default:
		return fmt.Sprintf("WatchEventType(%d)", uint8(t))
	}
}
