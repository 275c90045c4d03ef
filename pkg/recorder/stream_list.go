package recorder

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// ListRequested notes that the present state of the resource was requested. The
// list that BeginList announces may be as old as this request.
func (s *Stream) ListRequested() { s.listRequested = s.recorder.opts.Now().UTC() }

// BeginList begins a comparison of the present state with the heads. cause is
// why the watch could not be resumed. It is the zero Cause if that is not
// known.
//
// BeginList withdraws the checkpoint until EndList, and opens a gap. Both are
// durable before any record of the list. Records of the list are newer than the
// withdrawn checkpoint, so a watch from there would repeat some of them.
//
// A list that is aborted, or ended by a crash, leaves its gap open for the next
// list.
func (s *Stream) BeginList(ctx context.Context, cause gap.Cause) error {
	requested := s.listRequested
	s.listRequested = time.Time{}
	if requested.IsZero() {
		requested = s.recorder.opts.Now().UTC()
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if !s.gaps.IsOpen() {
		if err := s.openGap(ctx, cause); err != nil {
			return err
		}
	}
	s.listing, s.catchingUpSince = true, requested
	s.recorder.queue.enter(&s.lane, listing)
	s.metrics.syncs.Inc()
	s.syncGen++
	return nil
}

// EndList infers that the objects that were not observed since BeginList are
// deleted, and moves the checkpoint to rv. The checkpoint is dated when the
// list was requested, because rv may be that old.
func (s *Stream) EndList(ctx context.Context, rv string) error {
	if !s.listing {
		return wrap("record", s.resource, errNotListed)
	}
	s.receive()
	for _, key := range s.unseen() {
		deletion, err := s.inferDeletion(ctx, key, s.heads[key])
		if err != nil {
			return wrap("record", s.resource, err)
		}
		if err := s.put(ctx, entry{stream: s, records: []history.NewVersion{deletion}, rv: rv}); err != nil {
			return err
		}
		s.forget(key)
	}
	s.listing, s.gapStart, s.rv = false, time.Time{}, rv
	e := entry{stream: s, checkpoint: s.checkpoint(rv), gap: s.gaps.Close(s.received), rv: rv}
	if err := s.put(ctx, e); err != nil {
		return err
	}
	s.recorder.queue.enter(&s.lane, resumed)
	return nil
}

// AbortList notes that the list was interrupted. The objects that it returned
// are recorded. Objects that it did not return may exist. The stream needs
// another list.
func (s *Stream) AbortList() {
	s.listing = false
	s.recorder.queue.enter(&s.lane, live)
}

// unseen returns the keys of the heads that the current list did not return,
// ordered by namespace and name.
func (s *Stream) unseen() (keys []objectKey) {
	for key, h := range s.heads {
		if h.syncGen != s.syncGen {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b objectKey) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
	})
	return keys
}

// infer marks an update as inferred if the current list has not returned the
// object yet. Versions between the head and the record may be lost then.
func (s *Stream) infer(ctx context.Context, record *history.Record, h head) (err error) {
	if !s.listing || h.syncGen == s.syncGen {
		return nil
	}
	if record.InferredSince = s.gapStart; !s.gapStart.IsZero() {
		return nil
	}
	before, err := s.latest(ctx, objectKey{record.Ref.Namespace, record.Ref.Name}, h)
	if err == nil {
		record.InferredSince = before.Time
	}
	return err
}

// inferDeletion returns the record of a deletion that was not observed, made
// from the object's last version.
func (s *Stream) inferDeletion(ctx context.Context, key objectKey, h head) (history.NewVersion, error) {
	last, err := s.latest(ctx, key, h)
	if err != nil {
		return history.NewVersion{}, err
	}
	s.recorder.lastVersions.remove(h.uid)
	record := *last
	deletion := history.NewVersion{Record: &record, Before: last.Object}
	if deletion.Object, err = s.reRedact(last.Object); err != nil {
		return history.NewVersion{}, err
	}
	deletion.Verb, deletion.RV = history.Delete, h.rv
	deletion.Initial, deletion.Managers = false, nil
	deletion.Time, deletion.Revision = time.Time{}, 0
	if deletion.InferredSince = last.Time; !s.gapStart.IsZero() {
		deletion.InferredSince = s.gapStart
	}
	summarize(deletion.Record, nil)
	deletion.Class = fold.ClassOf(deletion.Record, nil)
	truncate(&deletion)
	return deletion, nil
}

// flush waits until everything that the stream accepted is in the log.
func (s *Stream) flush(ctx context.Context) error {
	if err := s.recorder.queue.wait(ctx, &s.lane); err != nil {
		s.interrupted = true
		return wrap("commit records of", s.resource, err)
	}
	return nil
}

// latest returns an object's last version from the log. It flushes before, so
// that accepted versions are found too.
func (s *Stream) latest(ctx context.Context, key objectKey, h head) (*history.Record, error) {
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	return s.recorder.log.Latest(ctx, history.ObjectRef{
		Group: s.resource.Group, Resource: s.resource.Resource,
		Namespace: key.namespace, Name: key.name, UID: types.UID(h.uid),
	})
}
