package recorder

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ledger is what a stream knows of its resource's gaps.
type ledger struct {
	open *history.Gap // durable; nil where there is none
	why  *history.Gap // the reason and the detail of what was last said to keep the resource from being observed
	used bool         // something was observed by this stream

	mu     sync.Mutex // guards opened, which the committer counts
	opened map[history.GapReason]uint64
}

func (l *ledger) count(reason history.GapReason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened == nil {
		l.opened = map[history.GapReason]uint64{}
	}
	l.opened[reason]++
}

func (l *ledger) counts() map[history.GapReason]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.opened)
}

// Explain says what keeps a resource from being observed, which becomes the reason of the gap if it can't be made up for.
// It is forgotten as soon as something is observed. Of several explanations the latest counts, unless it says less than the one
// before: that the API server does not answer, either, explains nothing more, and that it has forgotten the changes is what a gap
// says that has no other reason. The caller is the goroutine that uses the resource's stream.
func (r *Recorder) Explain(resource schema.GroupResource, reason history.GapReason, detail string) {
	s := r.stream(resource)
	if s == nil || reason == history.GapExpired || s.gaps.why != nil && s.gaps.why.Reason.Specific(reason) {
		return
	}
	s.gaps.why = &history.Gap{Reason: reason, Detail: detail}
}

// receive notes that the API server has sent something.
func (s *Stream) receive() {
	s.received = s.recorder.opts.Now().UTC()
	s.gaps.why, s.gaps.used = nil, true
}

// Resume says that a watch goes on from the checkpoint: what it brings may have happened long ago, until it has caught up. A
// checkpoint that it leads up to is as old as the one that it began with.
func (s *Stream) Resume() {
	s.recorder.queue.enter(&s.lane, resuming)
	if s.catchingUpSince.IsZero() {
		s.catchingUpSince = s.received
	}
}

// Pause says that the watch has ended, and that another one will go on from
// where the stream is. Records of other streams wait a little until that has
// brought what was written before them.
func (s *Stream) Pause() { s.recorder.queue.enter(&s.lane, lost) }

// catchUp notes that the resource is observed as it changes. What kept it from that before explains no gap that comes later.
func (s *Stream) catchUp() {
	s.catchingUpSince = time.Time{}
	s.gaps.why, s.gaps.used = nil, true
	s.recorder.queue.enter(&s.lane, resumed)
}

// resumeGap takes the gap up again that a sync left open.
func (s *Stream) resumeGap(ctx context.Context) error {
	gaps, err := s.recorder.log.Gaps(ctx, []schema.GroupResource{s.resource}, time.Time{}, time.Time{})
	if err != nil {
		return wrap("read the gaps of", s.resource, err)
	}
	for _, g := range gaps {
		if !g.Open() {
			continue
		}
		s.gaps.open = &g
		if g.Reason != history.GapInterrupted { // before that one, not everything was recorded
			s.gapStart = g.Start
		}
	}
	return nil
}

// openGap withdraws the checkpoint and opens the gap that the sync will close. The very first sync opens none: recording
// begins with it. Should it break off after it recorded something, the next one has to go over a gap from its beginning.
func (s *Stream) openGap(ctx context.Context) error {
	checkpoint, err := s.recorder.log.Checkpoint(ctx, s.resource)
	if err != nil {
		return wrap("read the checkpoint of", s.resource, err)
	}
	e := entry{stream: s}
	switch {
	case checkpoint.RV != "":
		e.checkpoint, e.gap = s.checkpoint(""), s.gap(checkpoint)
	case checkpoint.Time.IsZero():
		s.received = s.recorder.opts.Now().UTC()
		return s.put(ctx, entry{stream: s, checkpoint: s.checkpoint(""), idle: true})
	case len(s.heads) == 0:
		return nil
	default:
		e.gap = &history.Gap{
			Group: s.resource.Group, Resource: s.resource.Resource, Start: checkpoint.GapStart(s.recorder.opts.Now()),
			Reason: history.GapInterrupted, Detail: "the first list broke off, and everything was listed anew",
		}
	}
	if err := s.put(ctx, e); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if checkpoint.RV != "" {
		s.gapStart, s.rv = e.gap.Start, ""
	}
	s.gaps.open = e.gap
	return nil
}

// gap returns the gap behind a checkpoint that can't be gone on from.
func (s *Stream) gap(behind history.Checkpoint) *history.Gap {
	g := &history.Gap{
		Group: s.resource.Group, Resource: s.resource.Resource, Start: behind.GapStart(s.recorder.opts.Now()), Reason: history.GapExpired,
		Detail: fmt.Sprintf("the API server could not go on from resourceVersion %s, and everything was listed anew", behind.RV),
	}
	why := s.gaps.why
	switch {
	case why != nil && (s.gaps.used || why.Reason != history.GapDisconnected):
		g.Reason, g.Detail = why.Reason, why.Detail
	case !s.gaps.used:
		g.Reason = history.GapRestarted
	}
	return g
}

// endGap returns the gap that the sync closes, nil where there is none.
func (s *Stream) endGap() *history.Gap {
	if s.gaps.open == nil {
		return nil
	}
	closed := *s.gaps.open
	if closed.End = s.received; closed.End.Before(closed.Start) { // the clock was set back
		closed.End = closed.Start
	}
	s.gaps.open = nil
	return &closed
}
