package watcher

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Sink takes what happens to one resource. All its methods are called one after the other. An error
// from any of them ends the watcher, so a sink retries what can be retried by itself.
type Sink interface { //nolint:interfacebloat // a watch has that many turns
	// Checkpoint returns the resourceVersion to go on from, or "" when there is none and everything has to be listed.
	// It is asked once, before anything else.
	Checkpoint() string
	// Ask says that the whole present state is asked for. What BeginList announces is at least as new as the last Ask
	// before it.
	ListRequested()
	// BeginList says that the whole present state follows: one [history.Added] frame for every object that exists, in no
	// particular order. What happens to them while the state is being streamed follows as the frame that it is.
	BeginList(ctx context.Context) error
	// Observe takes one frame. It may block for as long as it has no room; the watch is not read meanwhile. A frame that it can
	// make nothing of is a [history.Invalid] error, which ends no watcher: the frame is asked for again, and nothing behind it
	// is observed until the server mends it.
	Observe(ctx context.Context, f history.WatchEvent) error
	// EndList says that every object that existed at the resourceVersion rv was observed since BeginList.
	EndList(ctx context.Context, rv string) error
	// AbortList says that the sync broke off: which objects were not observed means nothing. Another BeginList follows,
	// unless the watcher ends.
	AbortList()
	// Bookmark says that every change up to the resourceVersion rv was observed.
	Bookmark(ctx context.Context, rv string) error
	// Pause says that the watch has ended, and that another one or a sync will
	// follow. What happens until then is not told yet.
	Pause()
	// Resume says that a watch goes on from where the sink is. What it brings may have happened long ago, until Settle or Bookmark.
	Resume()
	// Alive says that every change that the server had sent by then was observed, after a watch has ended. It is not called
	// in a sync.
	Alive(ctx context.Context, at time.Time) error
	// Settle says that the watch has brought what was in stock, and returns when all of it can be read by everybody.
	CaughtUp(ctx context.Context) error
}
