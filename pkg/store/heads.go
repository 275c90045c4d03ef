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

// settledAtOnce is how many lost deletions are told in one batch.
const settledAtOnce = 64

// settle brings heads in line with the versions that are left, after days were forgotten. Where nothing is left of an object, nothing
// stays of it, so that whoever meets it again records it anew. An object that was deleted, and of which an earlier version is left, has
// lost its deletion, and would stand for good: so that is told again, as one that happened somewhere since. It can be repeated.
func (s *Store) settle(ctx context.Context) error {
	var deleted []lostDeletion
	b := bulk{s: s}
	err := s.view(func(r *reader) error {
		if err := r.enter(); err != nil {
			return err
		}
		return r.each(key.Heads(0)[:1], func(item *badger.Item) error {
			head, h, stands, err := r.left(item)
			switch {
			case err != nil:
				return err
			case head.Last.TS == 0 && h.TS == 0:
				k := item.KeyCopy(nil)
				id, err := r.identityOf(head.Object)
				return errors.Join(err, b.add(ctx, buried, func(w *writer) error { return w.unmake(k, head.Object, &id) }))
			case stands && !head.Alive:
				deleted = append(deleted, lostDeletion{h, head.RV})
			}
			return nil
		})
	})
	if err := errors.Join(err, b.flush(ctx)); err != nil {
		return err
	}
	for some := range slices.Chunk(deleted, settledAtOnce) {
		if err := s.tellDeletions(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// lostDeletion is that of an object that stands.
type lostDeletion struct {
	version hit    // that stands
	rv      string // of the deletion
}

// left returns a head and, where it has forgotten its object's newest version, the newest that is left, and whether that stands now; none
// where nothing is left.
func (r *reader) left(item *badger.Item) (head codec.Head, newest hit, stands bool, err error) {
	value, err := item.ValueCopy(nil)
	if err != nil {
		return head, hit{}, false, err
	}
	if head, err = codec.DecodeHead(value); err != nil || head.Last.TS != 0 {
		return head, hit{}, head.Alive, err
	}
	newest, stands, err = r.standing(head.Object, key.MaxTS)
	return head, newest, stands, err
}

// tellDeletions records that objects which stand are deleted.
func (s *Store) tellDeletions(ctx context.Context, deleted []lostDeletion) error {
	var batch history.Batch
	err := s.view(func(r *reader) error {
		if err := r.enter(); err != nil {
			return err
		}
		for _, d := range deleted {
			rec, err := r.deletion(d)
			if err != nil {
				return fmt.Errorf("tell the deletion of object %d: %w", d.version.Object, err)
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

// deletion makes the record of an object's deletion, of its version that stands; nil where that is damaged.
func (r *reader) deletion(of lostDeletion) (*history.Record, error) {
	h := of.version
	rec, m, err := r.record(h.Entry, h.meta)
	if err != nil {
		return nil, r.tolerated(h, err)
	}
	if rec.Object, err = r.whole(h, m.Parts); r.tolerated(h, err) != nil {
		return nil, err
	}
	rec.Verb, rec.RV, rec.InferredSince = history.Delete, of.rv, rec.Time
	rec.Initial, rec.Managers, rec.Summary = false, nil, nil
	return rec, nil
}
