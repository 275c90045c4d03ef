package history

import "fmt"

// WatchEvent is one change as the API server's watch or list served it: what happened, and the object's JSON, byte for byte.
type WatchEvent struct {
	Type WatchEventType
	// Object belongs to the giver, who uses its room again for the next frame: whoever keeps anything of it copies that.
	Object []byte
}

// WatchEventType says what a watch reports about an object. The zero WatchEventType is invalid.
type WatchEventType uint8

// The types of frames that carry a version of an object. Bookmarks and errors carry none, and are no frames.
const (
	Added    WatchEventType = iota + 1 // the object came into being, or into view
	Modified                           // the object changed
	Deleted                            // the object is gone; the frame holds its last state
)

// String returns the type as the watch protocol writes it: "ADDED", "MODIFIED" or "DELETED".
func (t WatchEventType) String() string {
	switch t {
	case Added:
		return "ADDED"
	case Modified:
		return "MODIFIED"
	case Deleted:
		return "DELETED"
	default:
		return fmt.Sprintf("frame(%d)", uint8(t))
	}
}
