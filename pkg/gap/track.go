package gap

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// NeverListed reports whether a checkpoint belongs to a resource that was never
// listed, so that none of its objects was ever recorded.
func NeverListed(c history.Checkpoint) bool { return c.RV == "" && c.Time.IsZero() }

// Track follows the durable gap of one resource. At most one is open.
//
// It decides about gaps and does not write them. The owner commits what
// [Track.ForList] and [Track.Close] return. One goroutine at a time may use it.
type Track struct {
	resource schema.GroupResource
	open     *history.Gap // committed, or about to be; nil if no gap is open
	observed bool         // something was observed since the process started
}

// NewTrack returns the track of a resource without an open gap.
func NewTrack(r schema.GroupResource) Track { return Track{resource: r} }

// Load replaces the open gap by the one among the log's gaps, after the
// stream was loaded from the log. It returns the time before which everything
// is recorded, or zero if no gap is open.
//
// It also returns zero for a [history.GapInterrupted] gap: it covers the first
// list, so there is no complete recording before it.
func (t *Track) Load(logged []history.Gap) (completeUntil time.Time) {
	t.open = nil
	for _, g := range logged {
		if !g.Open() {
			continue
		}
		t.open = &g
		if g.Reason != history.GapInterrupted {
			completeUntil = g.Start
		}
	}
	return completeUntil
}

// Observed notes that something of the resource was observed.
func (t *Track) Observed() { t.observed = true }

// IsOpen reports whether a gap is open. The next complete list closes it.
func (t *Track) IsOpen() bool { return t.open != nil }

// Opened notes that a gap of [Track.ForList] is durable.
func (t *Track) Opened(g *history.Gap) { t.open = g }

// ForList returns the gap that a list opens, or nil if the list needs none. c
// is the log's checkpoint. cause is why the watch could not be resumed.
// recorded reports whether the log has objects of the resource.
//
// The first list of a resource opens no gap, because recording begins with it.
// If it was interrupted after it had recorded objects, the next list opens one
// from the beginning of the first.
//
// An open gap stays open until a list is complete. The caller checks IsOpen
// before.
func (t *Track) ForList(c history.Checkpoint, cause Cause, recorded bool, now time.Time) *history.Gap {
	g := &history.Gap{Group: t.resource.Group, Resource: t.resource.Resource, Start: c.GapStart(now)}
	switch {
	case c.RV != "":
		why := t.reason(c, cause)
		g.Reason, g.Detail = why.Reason, why.Detail
	case NeverListed(c), !recorded:
		return nil
	default:
		g.Reason, g.Detail = history.GapInterrupted, "the first list was interrupted, so everything was listed again"
	}
	return g
}

// reason returns the cause of a gap after a checkpoint that the watch can't
// resume from.
//
// An unreachable API server is the cause only if the resource was observed
// before. Otherwise the recorder itself was stopped for longer.
func (t *Track) reason(c history.Checkpoint, cause Cause) Cause {
	switch {
	case !cause.None() && cause.Reason != history.GapExpired && (t.observed || cause.Reason != history.GapDisconnected):
		return cause
	case t.observed:
		return Cause{history.GapExpired, relisted(c.RV)}
	default:
		return Cause{history.GapRestarted, relisted(c.RV)}
	}
}

// relisted returns the detail of a gap whose cause is not known.
func relisted(rv string) string {
	return fmt.Sprintf("the API server could not resume from resourceVersion %s, so everything was listed again", rv)
}

// Close returns the open gap with its end. Afterwards no gap is open. It
// returns nil if no gap was open. received is when the end of the list was
// received. A gap never ends before it starts, even if the clock was set back.
func (t *Track) Close(received time.Time) *history.Gap {
	if t.open == nil {
		return nil
	}
	closed := *t.open
	t.open = nil
	closed.End = received
	if closed.End.Before(closed.Start) {
		closed.End = closed.Start
	}
	return &closed
}
