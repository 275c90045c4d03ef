package watcher

import (
	"context"
	"time"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Sink receives the changes of one resource. The watcher calls one method at a
// time. An error from any of them ends the watcher, so a sink retries temporary
// failures itself. The exception is Observe.
type Sink interface { //nolint:interfacebloat // each method is a step of the list and watch protocol
	// Checkpoint returns the resourceVersion to resume from, or "" if
	// everything has to be listed. It is called once, before all other methods.
	Checkpoint() string
	// ListRequested reports that the present state was requested. The list that
	// BeginList announces is at least as new as the last call before it.
	ListRequested()
	// BeginList reports that the whole present state follows: an
	// [history.Added] event for each object, in no particular order. Changes
	// that happen during the list follow as events of their own type. cause is
	// why the watch could not be resumed. It is the zero Cause if that is not
	// known.
	BeginList(ctx context.Context, cause gap.Cause) error
	// Observe accepts one event. It may block, and the watch is not read
	// meanwhile. If the event can't be read, Observe returns a
	// [history.Invalid] error, which does not end the watcher. The watcher
	// requests the event again and delivers no later one before it.
	Observe(ctx context.Context, e history.WatchEvent) error
	// EndList reports that the list is complete: every object that existed at
	// the resourceVersion rv was observed since BeginList.
	EndList(ctx context.Context, rv string) error
	// AbortList reports that the list was interrupted. Objects that were not
	// observed may exist. Another BeginList follows, unless the watcher ends.
	AbortList()
	// Bookmark reports that every change up to the resourceVersion rv was
	// observed.
	Bookmark(ctx context.Context, rv string) error
	// Pause reports that the watch has ended. Another watch or a list follows,
	// and delivers the changes that happen until then.
	Pause()
	// Resume reports that a watch resumes from the sink's position. Until
	// CaughtUp or Bookmark, its events may have happened long ago.
	Resume()
	// Alive reports, after a watch has ended, that every change that the API
	// server had sent by then was observed. It is not called during a list.
	Alive(ctx context.Context, at time.Time) error
	// CaughtUp reports that the watch has delivered the changes from before it
	// was opened. It returns when readers can see all of them.
	CaughtUp(ctx context.Context) error
}
