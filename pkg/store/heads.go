package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxDeletionsPerBatch is how many lost deletions are recorded in one batch.
const maxDeletionsPerBatch = 64

// reconcileHeads repairs heads after days were dropped. It is idempotent.
//
// An object with no version left is forgotten, so that its next version is
// recorded as a new object. An object whose head says that it is deleted, but
// whose newest version isn't a deletion, has lost its deletion. The deletion is
// recorded again, inferred, because the object would be a baseline forever.
func (s *Store) reconcileHeads(ctx context.Context) error {
	var deleted []lostDeletion
	b := bulkWriter{s: s}
	err := s.view(func(r *reader) error {
		if err := r.loadFloor(); err != nil {
			return err
		}
		return r.each(key.AllHeads(), func(item *badger.Item) error {
			head, h, exists, err := r.remaining(item)
			switch {
			case err != nil:
				return err
			case head.Last.TS == 0 && h.TS == 0:
				k := item.KeyCopy(nil)
				id, err := r.identityOf(head.Object)
				return errors.Join(err, b.add(ctx, deleteObjectSize, func(w *batchTx) error { return w.deleteObject(k, head.Object, &id) }))
			case exists && !head.Alive:
				deleted = append(deleted, lostDeletion{h, head.RV})
			}
			return nil
		})
	})
	if err := errors.Join(err, b.flush(ctx)); err != nil {
		return err
	}
	for chunk := range slices.Chunk(deleted, maxDeletionsPerBatch) {
		if err := s.recordDeletions(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// lostDeletion is a deletion whose record was lost.
type lostDeletion struct {
	last indexHit // the object's newest version that is left
	rv   string   // of the deletion
}

// remaining returns an object's head. If the head doesn't have the time of its
// version any more, remaining also returns the newest version that is left, and
// whether the object exists according to it. The hit is zero if no version is
// left.
func (r *reader) remaining(item *badger.Item) (head codec.Head, newest indexHit, exists bool, err error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return head, indexHit{}, false, err
	}
	if head, err = codec.DecodeHead(value); err != nil || head.Last.TS != 0 {
		return head, indexHit{}, head.Alive, err
	}
	newest, exists, err = r.baselineAt(head.Object, key.MaxTS)
	return head, newest, exists, err
}

// recordDeletions records lost deletions again.
func (s *Store) recordDeletions(ctx context.Context, deleted []lostDeletion) error {
	var batch history.Batch
	err := s.view(func(r *reader) error {
		if err := r.loadFloor(); err != nil {
			return err
		}
		for _, d := range deleted {
			rec, err := r.deletionRecord(d)
			if err != nil {
				return fmt.Errorf("record the deletion of object %d: %w", d.last.Object, err)
			}
			if rec != nil {
				batch.Records = append(batch.Records, rec)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.Append(ctx, &batch)
}

// deletionRecord returns the record of a lost deletion, made of the object's
// newest version. It returns nil if that version is damaged.
func (r *reader) deletionRecord(of lostDeletion) (*history.Record, error) {
	h := of.last
	rec, m, err := r.record(h.Entry, h.meta)
	if err != nil {
		return nil, r.tolerateDamage(h, err)
	}
	if rec.Object, err = r.hitBody(h, m.Parts); r.tolerateDamage(h, err) != nil {
		return nil, err
	}
	rec.Verb, rec.RV, rec.InferredSince = history.Delete, of.rv, rec.Time
	rec.Initial, rec.Managers, rec.Summary = false, nil, nil
	return rec, nil
}
