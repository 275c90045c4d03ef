package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// lasts calls f for the last version in a day of every object that has one. The day must not be the one that is being recorded.
func (s *Store) lasts(ctx context.Context, day uint16, f func(*reader, hit) error) error {
	return s.view(func(r *reader) error {
		if err := r.enter(); err != nil {
			return err
		}
		prefix := key.ClassPrefix(day, key.Record)
		if err := s.sound.checkPrefix(prefix); err != nil {
			return err
		}
		it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
		defer it.Close()
		seen := uint64(0)
		for it.Seek(append(prefix, 0xff)); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.ended(); err != nil {
				return err
			}
			e, err := key.Decode(it.Item().Key())
			if err != nil || e.Object == seen {
				if err != nil {
					return err
				}
				continue
			}
			seen = e.Object
			meta, err := it.Item().ValueCopy(nil)
			if err == nil {
				err = f(r, hit{Entry: e, meta: meta})
			}
			if err != nil {
				return fmt.Errorf("object %d at %d: %w", e.Object, e.TS, err)
			}
		}
		return nil
	})
}

// carry copies the last version in the day of every object to the standing versions. A deletion is copied without its body, and
// only where something stands that it ends; sweep removes both.
func (s *Store) carry(ctx context.Context, day uint16) error {
	b := bulk{s: s}
	err := s.lasts(ctx, day, func(r *reader, h hit) error {
		groups, err := r.copied(h)
		for _, g := range groups {
			err = errors.Join(err, b.add(ctx, g.bytes(), func(w *writer) error { return w.add(g) }))
		}
		return err
	})
	return errors.Join(err, b.flush(ctx))
}

// copied returns the entries of a standing version, its metadata last. A version that is damaged is carried as damaged as it is,
// because it is what stands: who reads it gets the error that he would have got before. Where only its body is, the rest is not.
func (r *reader) copied(h hit) ([]group, error) {
	var last group
	rec, m, err := r.record(h.Entry, h.meta)
	if err != nil {
		last.set(key.Standing(h.Object, h.TS), h.meta, 0)
		return []group{last}, r.tolerated(h, err)
	}
	var groups []group
	if rec.Verb == history.Delete {
		if k, _, err := r.newest(key.StandingOf(h.Object), h.TS); err != nil || k == nil {
			return nil, err
		}
		m.Parts = 0
	} else if groups, err = r.copiedBody(h, &m); r.tolerated(h, err) != nil {
		return nil, err
	}
	meta := codec.AppendMeta(nil, h.TS, rec, codec.Meta{Kind: m.Kind, Parts: m.Parts}, nil) // the day's phrases go with it
	last.set(key.Standing(h.Object, h.TS), meta, 0)
	last.ownStanding(rec, h.Object, h.TS)
	return append(groups, last), nil
}

// tolerated logs that a version is damaged; any other error it returns.
func (r *reader) tolerated(h hit, err error) error {
	if errors.Is(err, codec.ErrCorrupt) || errors.Is(err, badger.ErrKeyNotFound) {
		r.s.log.Error("a version is damaged", "object", h.Object, "at", moment(h.TS), "err", err)
		return nil
	}
	return err
}

// ownStanding adds the index entries of a standing version by its owners.
func (g *group) ownStanding(rec *history.Record, object, ts uint64) {
	for k := range standingOwned(rec, object, ts) {
		g.set(k, nil, 0)
	}
}

// standingOwned yields the keys of the index entries of a standing version by its owners, each once.
func standingOwned(rec *history.Record, object, ts uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i, uid := range rec.Owners {
			if !slices.Contains(rec.Owners[:i], uid) && !yield(key.StandingOwned(key.Sum(string(uid)), object, ts)) {
				return
			}
		}
	}
}

// copiedBody returns the parts of a version's body as a snapshot, and sets their number.
func (r *reader) copiedBody(h hit, m *codec.Meta) (groups []group, err error) {
	json, err := r.body(h.Entry, m.Parts)
	if err != nil || len(json) == 0 {
		return nil, err
	}
	m.Parts = 0
	for part := range slices.Chunk(r.s.bodies.Snapshot(json, codec.Sum(json)).Encode(), maxPart) {
		var g group
		g.set(key.StandingBody(h.Object, h.TS, m.Parts), part, 0)
		groups = append(groups, g)
		m.Parts++
	}
	return groups, nil
}

// sweep removes the standing versions of the day's objects that are older than their last versions in it, deletions, and what is
// kept once an object of those that were deleted in the day and have not come back.
func (s *Store) sweep(ctx context.Context, day uint16) error {
	b := bulk{s: s}
	err := s.lasts(ctx, day, func(r *reader, h hit) error {
		verb, revision, damage := codec.Brief(h.meta) // reported when it was carried
		deleted := damage == nil && verb == history.Delete
		old, err := r.superseded(h, deleted)
		if err == nil && len(old) > 0 {
			err = b.add(ctx, old.bytes(), func(w *writer) error { return w.add(old) })
		}
		if err == nil && deleted {
			err = b.add(ctx, buried, func(w *writer) error { return w.bury(h.Object, revision) })
		}
		return err
	})
	return errors.Join(err, b.flush(ctx))
}

// superseded returns the removal of an object's standing versions that are older than one of its versions, and of the copy of
// that where it is a deletion. Of one that is damaged, owners are not known, and stay in their index.
func (r *reader) superseded(h hit, deleted bool) (old group, err error) {
	err = r.each(key.StandingOf(h.Object), func(item *badger.Item) error {
		_, ts, err := key.DecodeStanding(item.Key())
		if err != nil || ts > h.TS || ts == h.TS && !deleted {
			return err
		}
		old.remove(item.KeyCopy(nil))
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		if rec, _, err := r.record(key.Entry{Object: h.Object, TS: ts}, meta); err == nil {
			for k := range standingOwned(rec, h.Object, ts) {
				old.remove(k)
			}
		}
		body := key.StandingBody(h.Object, ts, 0)
		return r.each(body[:len(body)-2], func(item *badger.Item) error {
			old.remove(item.KeyCopy(nil))
			return nil
		})
	})
	return old, err
}

// buried is about how many bytes [writer.bury] writes.
const buried = 256

// bury removes what is kept once an object, if its newest version is the deletion with this revision.
func (w *writer) bury(object, revision uint64) error {
	b, err := get(w.txn, key.Identity(object))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil // buried by an earlier attempt
	}
	if err != nil {
		return err
	}
	id, err := codec.DecodeIdentity(b)
	if err != nil {
		return err
	}
	k := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
	if b, err = get(w.txn, k); err != nil {
		return err
	}
	head, err := codec.DecodeHead(b)
	if err != nil || head.Alive || head.Object != object || head.Revision != revision {
		return err
	}
	return w.unmake(k, object, &id)
}

// unmake removes what is kept once an object, whose head has the given key.
func (w *writer) unmake(head []byte, object uint64, id *codec.Identity) error {
	var g group
	g.remove(head)
	g.remove(key.Identity(object))
	g.remove(key.Name(id.Name, id.Resource, id.Namespace, object))
	return w.add(g)
}

// maxBulk is about how many bytes a bulk commits at once: what a commit of the recorder may have to wait for.
const maxBulk = 512 << 10

// bulk collects what is to be written while a day is walked through, and commits it a little at a time.
type bulk struct {
	s       *Store
	pending []func(*writer) error
	size    int
}

func (b *bulk) add(ctx context.Context, size int, f func(*writer) error) error {
	b.pending = append(b.pending, f)
	if b.size += size; b.size < maxBulk {
		return nil
	}
	return b.flush(ctx)
}

func (b *bulk) flush(ctx context.Context) error {
	if len(b.pending) == 0 {
		return nil
	}
	pending := b.pending
	b.pending, b.size = nil, 0
	return b.s.transact(ctx, func(w *writer) error {
		for _, f := range pending {
			if err := f(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// bytes returns about how large a group is.
func (g *group) bytes() (n int) {
	for _, e := range *g {
		n += len(e.Key) + len(e.Value) + overhead
	}
	return n
}
