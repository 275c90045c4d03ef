package recorder

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Ask says that the resource's whole state is asked for: what BeginList
// announces may be as old as that.
func (s *Stream) ListRequested() { s.listRequested = s.recorder.opts.Now().UTC() }

// BeginList begins a comparison of the resource's whole state with the heads. The checkpoint is withdrawn until EndList, and
// a gap opens; both are durable before any record of the sync: those are newer than the checkpoint was, and a watch from there
// would serve some of them again. A sync that broke off, or that a crash cut off, leaves its gap open for the next one.
func (s *Stream) BeginList(ctx context.Context) error {
	began := s.listRequested
	if s.listRequested = (time.Time{}); began.IsZero() {
		began = s.recorder.opts.Now().UTC()
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.gaps.open == nil {
		if err := s.openGap(ctx); err != nil {
			return err
		}
	}
	s.listing, s.catchingUpSince = true, began
	s.recorder.queue.enter(&s.lane, listing)
	s.lists.Add(1)
	s.syncGen++
	return nil
}

// EndList infers that the objects that were not observed since BeginList are gone, and moves the checkpoint to rv. That may be as
// old as the sync is, which the checkpoint tells.
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
		if err := s.put(ctx, entry{stream: s, records: []*history.Record{deletion}, rv: rv}); err != nil {
			return err
		}
		s.forget(key)
	}
	s.listing, s.gapStart, s.rv = false, time.Time{}, rv
	if err := s.put(ctx, entry{stream: s, checkpoint: s.checkpoint(rv), gap: s.endGap(), rv: rv}); err != nil {
		return err
	}
	s.recorder.queue.enter(&s.lane, resumed)
	return nil
}

// AbortList says that the sync broke off. What it found is recorded, what it did not find means nothing, and only another sync
// leads on.
func (s *Stream) AbortList() {
	s.listing = false
	s.recorder.queue.enter(&s.lane, live)
}

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

// infer marks an update of an object that a sync has just come upon: versions between it and the head may be lost.
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

// inferDeletion makes the record of a deletion that nobody reported, from the object's last version.
func (s *Stream) inferDeletion(ctx context.Context, key objectKey, h head) (*history.Record, error) {
	last, err := s.latest(ctx, key, h)
	if err != nil {
		return nil, err
	}
	s.recorder.memory.forget(h.uid)
	deletion := *last
	deletion.Before = last.Object
	if deletion.Object, err = s.redacted(last.Object); err != nil {
		return nil, err
	}
	deletion.Verb, deletion.RV = history.Delete, h.rv
	deletion.Initial, deletion.Managers, deletion.ManagedHashes = false, nil, nil
	deletion.Time, deletion.Revision = time.Time{}, 0
	if deletion.InferredSince = last.Time; !s.gapStart.IsZero() {
		deletion.InferredSince = s.gapStart
	}
	tell(&deletion, nil)
	bound(&deletion)
	return &deletion, nil
}

// Settle says that a watch has brought what lay behind it, and waits until that is in the log.
func (s *Stream) CaughtUp(ctx context.Context) error {
	err := s.flush(ctx)
	s.catchUp()
	return err
}

// settle waits until all that was accepted is in the log.
func (s *Stream) flush(ctx context.Context) error {
	if err := s.recorder.queue.wait(ctx, &s.lane); err != nil {
		s.interrupted = true
		return wrap("commit records of", s.resource, err)
	}
	return nil
}

// latest reads an object's last version from the log, once all that was accepted has got there.
func (s *Stream) latest(ctx context.Context, key objectKey, h head) (*history.Record, error) {
	if err := s.flush(ctx); err != nil {
		return nil, err
	}
	return s.recorder.log.Latest(ctx, history.ObjectRef{
		Group: s.resource.Group, Resource: s.resource.Resource, Namespace: key.namespace, Name: key.name, UID: types.UID(h.uid),
	})
}
