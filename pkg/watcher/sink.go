package watcher

import "context"

// Sink takes what happens to one resource. All its methods are called by one goroutine, one after the other. An error
// from any of them ends the watcher, so a sink retries what can be retried by itself.
type Sink interface {
	// Checkpoint returns the resourceVersion to go on from, or "" when there is none and everything has to be listed.
	// It is asked once, before anything else.
	Checkpoint() string
	// BeginSync says that the whole present state follows: one [Added] frame for every object that exists, in no
	// particular order.
	BeginSync(ctx context.Context) error
	// Observe takes one frame. It may block for as long as it has no room; the watch is not read meanwhile.
	Observe(ctx context.Context, f Frame) error
	// EndSync says that every object that existed at the resourceVersion rv was observed since BeginSync. An object that
	// may have changed meanwhile can follow again.
	EndSync(ctx context.Context, rv string) error
	// AbortSync says that the sync broke off: which objects were not observed means nothing. Another BeginSync follows,
	// unless the watcher ends.
	AbortSync()
	// Bookmark says that every change up to the resourceVersion rv was observed.
	Bookmark(ctx context.Context, rv string) error
}

// FrameType says what a frame tells of its object. The zero FrameType is invalid.
type FrameType uint8

// The types of frames. In a sync only Added occurs.
const (
	Added FrameType = iota + 1
	Modified
	Deleted
)

// String returns the type as it stands in a watch frame: "ADDED", "MODIFIED" or "DELETED".
func (t FrameType) String() string {
	switch t {
	case Added:
		return "ADDED"
	case Modified:
		return "MODIFIED"
	case Deleted:
		return "DELETED"
	default:
		return "UNKNOWN"
	}
}

// Frame is one version of one object as the server sent it.
type Frame struct {
	Type FrameType
	// Object is the version's whole JSON, with kind and apiVersion. The receiver owns the bytes.
	Object []byte
}
