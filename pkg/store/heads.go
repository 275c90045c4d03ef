package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Heads returns the newest versions of a resource's live objects, as they are
// when the iteration begins, in an arbitrary order. An error comes with a zero
// head and ends the iteration.
func (s *Store) Heads(ctx context.Context, resource schema.GroupResource) iter.Seq2[history.Head, error] {
	return func(yield func(history.Head, error) bool) {
		err := s.heads(ctx, resource, func(h history.Head) bool { return yield(h, nil) })
		if err != nil && !errors.Is(err, errStop) {
			yield(history.Head{}, err)
		}
	}
}

// heads calls f for the heads of a resource's live objects, until it returns
// false.
func (s *Store) heads(ctx context.Context, resource schema.GroupResource, f func(history.Head) bool) error {
	answered := false // f must not see a head twice
	return s.retryAfterRepair(func() (bool, error) {
		err := s.viewOnce(func(r *reader) error {
			n, err := r.resource(resource)
			if err != nil || n == 0 {
				return err
			}
			return r.each(key.Heads(n), func(item *badger.Item) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				head, alive, err := r.head(item)
				if err == nil && alive {
					if answered = true; !f(head) {
						return errStop
					}
				}
				return err
			})
		})
		return answered, err
	})
}

// head returns the head in an item, and whether its object is alive. Only the
// head of a live object is complete.
func (r *reader) head(item *badger.Item) (h history.Head, alive bool, err error) {
	b, err := item.ValueCopy(nil)
	if err != nil {
		return h, false, err
	}
	head, err := codec.DecodeHead(b)
	if err != nil || !head.Alive {
		return h, false, err
	}
	id, err := r.identity(head.Object)
	return history.Head{Ref: id.ref, RV: head.RV, ManagedHashes: head.ManagedHashes}, true, err
}

// Checkpoint returns a resource's checkpoint. Its RV is empty if no checkpoint
// was committed.
func (s *Store) Checkpoint(_ context.Context, resource schema.GroupResource) (history.Checkpoint, error) {
	c := history.Checkpoint{Group: resource.Group, Resource: resource.Resource}
	err := s.view(func(r *reader) error {
		n, err := r.resource(resource)
		if err != nil || n == 0 {
			return err
		}
		if err := s.integrity.checkKey(key.Checkpoint(n)); err != nil {
			return err
		}
		b, err := get(r.txn, key.Checkpoint(n))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		c.RV, c.Time, err = codec.DecodeCheckpoint(b)
		return err
	})
	return c, err
}

// maxDeletionsPerBatch is how many lost deletions are recorded in one batch.
const maxDeletionsPerBatch = 64

// reconcileHeads repairs the heads whose newest version was lost by a repair of
// the database. It is idempotent.
//
// An object with no version left is removed, so that its next version is
// recorded as a new object. If a head is that of a deleted object, but the
// newest version isn't a deletion, the deletion was lost. It is recorded again,
// inferred, because the object would otherwise be a baseline forever.
func (s *Store) reconcileHeads(ctx context.Context) error {
	var deleted []lostDeletion
	b := bulkWriter{s: s}
	err := s.view(func(r *reader) error {
		deleted = nil // view calls it again after a repair
		if err := r.loadFloor(); err != nil {
			return err
		}
		return r.each(key.AllHeads(), func(item *badger.Item) error {
			head, h, exists, err := r.remaining(item)
			switch {
			case err != nil:
				return err
			case head.Last.TS == 0 && h.TS == 0: // no version is left
				k := item.KeyCopy(nil)
				id, err := r.identityOf(head.Object)
				if err != nil {
					return err
				}
				return b.add(ctx, deleteObjectSize, func(w *batchTx) error {
					return w.deleteObject(k, head.Object, &id)
				})
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

// remaining returns an object's head, and whether the object exists. If the
// head has the time of its version, the head decides that, and the hit is zero.
// Otherwise remaining looks for the newest version that is left, and that
// version decides. The hit is zero if none is left.
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
		batch.Versions = nil // view calls it again after a repair
		if err := r.loadFloor(); err != nil {
			return err
		}
		for _, d := range deleted {
			rec, err := r.deletionRecord(d)
			if err != nil {
				return fmt.Errorf("record the deletion of object %d: %w", d.last.Object, err)
			}
			if rec != nil {
				batch.Versions = append(batch.Versions, history.NewVersion{Record: rec})
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
// newest version. It returns nil if the metadata of that version is damaged. If
// only the body is damaged, the record has none.
func (r *reader) deletionRecord(of lostDeletion) (*history.Record, error) {
	h := of.last
	rec, m, err := r.record(h.Entry, h.meta)
	if err != nil {
		return nil, r.tolerateDamage(h, err)
	}
	rec.Object, err = r.hitBody(h, m.Parts)
	if err := r.tolerateDamage(h, err); err != nil {
		return nil, err
	}
	// It happened at some time after the version that is left.
	rec.Verb, rec.RV, rec.InferredSince = history.Delete, of.rv, rec.Time
	rec.Initial, rec.Managers, rec.Summary = false, nil, nil
	return rec, nil
}
