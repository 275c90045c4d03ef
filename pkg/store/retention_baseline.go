package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// noDay is behind every day that a key can carry.
const noDay = 1 << 16

// oldestDay returns the first day that has a version; noDay where there is none.
func oldestDay(txn *badger.Txn) uint32 {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if e, err := key.Decode(it.Item().Key()); err == nil { // what is no key of a version, Verify tells
			return uint32(key.Day(e.TS))
		}
	}
	return noDay
}

// floor returns the first day that is kept: 0 where none was ever dropped.
func floor(txn *badger.Txn) (uint32, error) {
	b, err := get(txn, key.Floor())
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the floor: %w", err)
	case len(b) != 4:
		return 0, fmt.Errorf("floor: %w", codec.ErrCorrupt)
	default:
		return binary.BigEndian.Uint32(b), nil
	}
}

// enter makes the reader ready to read days.
func (r *reader) enter() (err error) {
	if r.floor, err = floor(r.txn); err != nil {
		return err
	}
	return r.sound.checkKey(key.Floor())
}

// lost tells whether what was read of a day may have been dropped meanwhile: a drop is the one thing that a transaction sees
// though it began later. What is read before lost answers false is whole.
func (r *reader) lost(day uint16) bool {
	dropped := r.s.dropped.Load()
	return dropped > r.floor && uint32(day) < dropped
}

// bottom returns the time from which on days are read: what was before is older than the retention, or dropped.
func (r *reader) bottom() uint64 { return max(r.s.horizon(), key.Start(r.floor)) }

// through goes through a span in its order: the days, as far as they are kept, and before them the versions that stood when
// what is kept begins.
func (r *reader) through(p *plan, sp span, f func(hit) (bool, error)) error {
	bottom := r.bottom()
	kept := sp
	kept.from = max(kept.from, bottom)
	if sp.reverse {
		if err := r.days(p, kept, f); err != nil {
			return err
		}
		return r.stood(p, sp, bottom, f)
	}
	if err := r.stood(p, sp, bottom, f); err != nil {
		return err
	}
	return r.days(p, kept, f)
}

// stood calls f for the versions of the plan's objects that stood at a time and lie in the span, in its order.
func (r *reader) stood(p *plan, sp span, at uint64, f func(hit) (bool, error)) error {
	if sp.from >= at {
		return nil
	}
	objects, err := r.mayStand(p, at)
	if err != nil {
		return err
	}
	var hits []hit
	for _, object := range objects {
		h, ok, err := r.standing(object, at)
		if err != nil {
			return err
		}
		if ok && sp.from <= h.TS && h.TS <= sp.to {
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, func(a, b hit) int { return moment(a.TS).Compare(moment(b.TS)) })
	if sp.reverse {
		slices.Reverse(hits)
	}
	for _, h := range hits {
		if more, err := f(h); !more || err != nil {
			return err
		}
	}
	return nil
}

// mayStand returns the objects of which a plan answers what stood at a time: those that it names, or those of an owner, as far as
// they had it in one of their versions since the floor or in the one that stood there.
func (r *reader) mayStand(p *plan, at uint64) (objects []uint64, err error) {
	if p.class == key.Record {
		for i := range p.ranges {
			objects = append(objects, p.ranges[i].Object)
		}
		return objects, nil
	}
	if p.owner == nil {
		return nil, nil
	}
	err = r.each(key.StandingOwnedBy(*p.owner), func(item *badger.Item) error {
		object, _, err := key.DecodeStandingOwned(item.Key())
		objects = append(objects, object)
		return err
	})
	if begin := key.Start(r.floor); err == nil && at > begin {
		owned := &plan{class: key.ByOwner, ranges: []key.Entry{{Class: key.ByOwner, Hash: *p.owner}}}
		err = r.days(owned, span{from: begin, to: at - 1}, func(h hit) (bool, error) {
			objects = append(objects, h.Object)
			return true, nil
		})
	}
	slices.Sort(objects)
	return slices.Compact(objects), err
}

// standing returns an object's version that stood at a time, which is not before the floor: its newest one before, be it in a day
// that is still kept, or carried there when its day was dropped. There is none where that is a deletion.
func (r *reader) standing(object, at uint64) (hit, bool, error) {
	at = min(at, r.s.last.Load()+1)
	e := key.Entry{Class: key.Record, Object: object}
	for day := int(key.Day(at - 1)); day >= int(max(r.floor, r.s.oldest.Load())); day-- {
		k, meta, err := r.newest(e.Prefix(uint16(day)), at)
		switch {
		case r.lost(uint16(day)):
			return hit{}, false, errDropped
		case err != nil:
			return hit{}, false, err
		case k != nil:
			h := hit{meta: meta}
			if h.Entry, err = key.Decode(k); err != nil {
				return hit{}, false, err
			}
			verb, _, err := codec.Brief(meta)
			h.Verb = byte(verb)
			return h, verb != history.Delete, err
		}
	}
	if r.lost(uint16(r.floor)) { // before the loop, maybe: the oldest day is that of now
		return hit{}, false, errDropped
	}
	return r.carried(object)
}

// carried returns the version of an object that was carried to behind the days that are kept. While a day is carried, so that it
// can be dropped, versions of it are there already; until the floor is raised they are not looked at.
func (r *reader) carried(object uint64) (hit, bool, error) {
	k, meta, err := r.newest(key.StandingOf(object), key.Start(r.floor))
	if err != nil || k == nil {
		return hit{}, false, err
	}
	h := hit{meta: meta, carried: true}
	h.Class = key.Record
	if h.Object, h.TS, err = key.DecodeStanding(k); err != nil {
		return hit{}, false, err
	}
	verb, _, err := codec.Brief(meta)
	h.Verb = byte(verb)
	return h, verb != history.Delete, err
}

// newest returns the last key, and its value, of those that begin with a prefix and go on with a time before the given one; nil
// where there is none.
func (r *reader) newest(prefix []byte, before uint64) (k, v []byte, err error) {
	if before == 0 {
		return nil, nil, nil
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	last := binary.BigEndian.AppendUint64(bytes.Clone(prefix), before-1)
	it.Seek(last)
	read := keyRange{prefix, append(last, 0)}
	if it.Valid() {
		k = it.Item().KeyCopy(nil)
		read.from = k
		v, err = it.Item().ValueCopy(nil)
	}
	return k, v, cmp.Or(err, r.sound.check(read))
}

// carriedBody reads the body of a version that was carried. It is a snapshot.
func (r *reader) carriedBody(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	b, err := r.joined(parts, func(part uint16) []byte { return key.StandingBody(e.Object, e.TS, part) })
	if err != nil {
		return nil, fmt.Errorf("object %d at %d, which stands: %w", e.Object, e.TS, err)
	}
	body, err := codec.ParseBody(b)
	if err != nil {
		return nil, err
	}
	json, err := r.s.bodies.Decode(nil, &body, nil)
	return json, errors.Join(err, body.Verify(json))
}

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
