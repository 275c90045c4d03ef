package recorder

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
)

// receive notes that the API server has sent something.
func (s *Stream) receive() {
	s.received = s.recorder.opts.Now().UTC()
	s.gaps.Observed()
}

// Resume notes that a watch resumes from the checkpoint. Until it has caught
// up, its events may have happened long ago. So the checkpoints that follow
// these events have the time of the one that the watch resumed from.
func (s *Stream) Resume() {
	s.recorder.queue.enter(&s.lane, resuming)
	if s.catchingUpSince.IsZero() {
		s.catchingUpSince = s.received
	}
}

// Pause notes that the watch has ended, and that another one will resume from
// the checkpoint. Until then, records of other streams wait a little for older
// records of this one.
func (s *Stream) Pause() { s.recorder.queue.enter(&s.lane, lost) }

// CaughtUp notes that the watch has delivered the changes from before it was
// opened. It returns when their records are in the log.
func (s *Stream) CaughtUp(ctx context.Context) error {
	err := s.flush(ctx)
	s.caughtUp()
	return err
}

// caughtUp notes that the stream delivers changes as they happen.
func (s *Stream) caughtUp() {
	s.catchingUpSince = time.Time{}
	s.gaps.Observed()
	s.recorder.queue.enter(&s.lane, resumed)
}

// loadGaps resumes the gap that an earlier list left open.
func (s *Stream) loadGaps(ctx context.Context) error {
	gaps, err := s.recorder.log.Gaps(ctx, []schema.GroupResource{s.resource}, time.Time{}, time.Time{})
	if err != nil {
		return wrap("read the gaps of", s.resource, err)
	}
	s.gapStart = s.gaps.Load(gaps)
	return nil
}

// openGap withdraws the checkpoint and opens the gap that the list will close,
// if [gap.Track.ForList] returns one. Both are durable when it returns.
//
// Before the first list of a resource, only a checkpoint without an RV is
// committed: it dates the beginning of the recording.
func (s *Stream) openGap(ctx context.Context, cause gap.Cause) error {
	checkpoint, err := s.recorder.log.Checkpoint(ctx, s.resource)
	if err != nil {
		return wrap("read the checkpoint of", s.resource, err)
	}
	if gap.NeverListed(checkpoint) {
		s.received = s.recorder.opts.Now().UTC()
		return s.put(ctx, entry{stream: s, checkpoint: s.checkpoint(""), idle: true})
	}
	opened := s.gaps.ForList(checkpoint, cause, len(s.heads) > 0, s.recorder.opts.Now())
	if opened == nil {
		return nil
	}
	e := entry{stream: s, gap: opened}
	if checkpoint.RV != "" {
		e.checkpoint = s.checkpoint("")
	}
	if err := s.put(ctx, e); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if checkpoint.RV != "" {
		s.gapStart, s.rv = opened.Start, ""
	}
	s.gaps.Opened(opened)
	return nil
}
