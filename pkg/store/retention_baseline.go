package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// walkBaselines calls f for the baselines at a time that lie in the span, in
// the span's order. Only plans for certain objects have baselines; see
// [reader.baselineCandidates].
func (r *reader) walkBaselines(p *plan, sp span, at uint64, f func(indexHit) (bool, error)) error {
	if sp.from >= at {
		return nil
	}
	objects, err := r.baselineCandidates(p, at)
	if err != nil {
		return err
	}
	var hits []indexHit
	for _, object := range objects {
		h, ok, err := r.baselineAt(object, at)
		if err != nil {
			return err
		}
		if ok && sp.from <= h.TS && h.TS <= sp.to {
			hits = append(hits, h)
		}
	}
	slices.SortFunc(hits, func(a, b indexHit) int { return cmp.Compare(a.TS, b.TS) })
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

// baselineCandidates returns the objects whose baselines at a time a plan
// answers: the objects that the plan names. If the plan names an owner, these
// are the objects that it owns in a baseline, or in a version from the
// retention floor to that time. Other plans have no candidates.
func (r *reader) baselineCandidates(p *plan, at uint64) (objects []uint64, err error) {
	if p.index.class == key.Record {
		for i := range p.ranges {
			objects = append(objects, p.ranges[i].Object)
		}
		return objects, nil
	}
	if p.owner == nil {
		return nil, nil
	}
	err = r.each(key.BaselinesOwnedBy(*p.owner), func(item *badger.Item) error {
		object, _, err := key.DecodeBaselineOwner(item.Key())
		objects = append(objects, object)
		return err
	})
	if begin := key.Start(r.floorDay); err == nil && at > begin {
		owned := &plan{index: &ownerIndex, ranges: []key.Entry{{Class: ownerIndex.class, Hash: *p.owner}}}
		err = r.days(owned, span{from: begin, to: at - 1}, func(h indexHit) (bool, error) {
			objects = append(objects, h.Object)
			return true, nil
		})
	}
	slices.Sort(objects)
	return slices.Compact(objects), err
}

// baselineAt returns the version that an object had at a time: its newest
// version before that time. The time must not be before the retention floor.
// The version is in a day that is kept, or it is a stored baseline. The result
// is false if the object did not exist, or was deleted.
func (r *reader) baselineAt(object, at uint64) (indexHit, bool, error) {
	at = min(at, r.s.last.Load()+1)
	e := key.Entry{Class: key.Record, Object: object}
	for day := int(key.Day(at - 1)); day >= int(max(r.floorDay, r.s.oldest.Load())); day-- {
		k, meta, err := r.newestBefore(e.Prefix(uint16(day)), at)
		switch {
		case r.droppedMeanwhile(uint16(day)): // first: a dropped day looks empty or damaged
			return indexHit{}, false, errDropped
		case err != nil:
			return indexHit{}, false, err
		case k != nil:
			h := indexHit{meta: meta}
			if h.Entry, err = key.Decode(k); err != nil {
				return indexHit{}, false, err
			}
			return h.existing()
		}
	}
	if r.droppedMeanwhile(uint16(r.floorDay)) { // the loop may have skipped a day that was just dropped
		return indexHit{}, false, errDropped
	}
	return r.storedBaseline(object)
}

// storedBaseline returns an object's baseline at the retention floor. While a
// day is dropped, there are newer baselines. They are ignored until the floor
// is raised.
func (r *reader) storedBaseline(object uint64) (indexHit, bool, error) {
	k, meta, err := r.newestBefore(key.BaselinesOf(object), key.Start(r.floorDay))
	if err != nil || k == nil {
		return indexHit{}, false, err
	}
	h := indexHit{meta: meta, baseline: true}
	h.Class = key.Record
	if h.Object, h.TS, err = key.DecodeBaseline(k); err != nil {
		return indexHit{}, false, err
	}
	return h.existing()
}

// existing returns the hit with its verb, and whether its object exists: the
// version isn't a deletion.
func (h indexHit) existing() (indexHit, bool, error) {
	o, err := codec.DecodeOutline(h.meta)
	h.Verb = byte(o.Verb)
	return h, o.Verb != history.Delete, err
}

// newestBefore returns the last key with a prefix followed by a time before the
// given one, and its value. k is nil if there is none. It verifies the blocks
// that may contain such keys.
func (r *reader) newestBefore(prefix []byte, before uint64) (k, v []byte, err error) {
	if before == 0 {
		return nil, nil, nil
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	last := binary.BigEndian.AppendUint64(bytes.Clone(prefix), before-1)
	it.Seek(last)
	read := keyrange.Range{From: prefix, To: append(last, 0)}
	if it.Valid() {
		k = it.Item().KeyCopy(nil)
		read.From = k
		v, err = it.Item().ValueCopy(nil)
	}
	return k, v, cmp.Or(err, r.integrity.check(read))
}

// readBaselineBody reads the body of a stored baseline, which is a snapshot.
func (r *reader) readBaselineBody(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	b, err := r.joined(parts, func(part uint16) []byte { return key.BaselineBody(e.Object, e.TS, part) })
	if err != nil {
		return nil, fmt.Errorf("baseline of object %d at %d: %w", e.Object, e.TS, err)
	}
	body, err := codec.ParseBody(b)
	if err != nil {
		return nil, err
	}
	json, err := r.s.bodies.Decode(nil, &body, nil)
	return json, errors.Join(err, body.Verify(json))
}

// eachLastVersion calls f for the last version in a day of each object that has
// one. The day must not be the day of the newest record, which still changes.
//
// The keys sort by object and time, so in reverse the first key of an object is
// its last version.
func (s *Store) eachLastVersion(ctx context.Context, day uint16, f func(*reader, indexHit) error) error {
	return s.viewOnce(func(r *reader) error {
		if err := r.loadFloor(); err != nil {
			return err
		}
		prefix := key.ClassPrefix(day, key.Record)
		if err := s.integrity.checkPrefix(prefix); err != nil {
			return err
		}
		it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
		defer it.Close()
		seen := uint64(0)
		for it.Seek(append(prefix, 0xff)); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.stopErr(); err != nil {
				return err
			}
			e, err := key.Decode(it.Item().Key())
			if err != nil {
				return err
			}
			if e.Object == seen {
				continue
			}
			seen = e.Object
			meta, err := it.Item().ValueCopy(nil)
			if err == nil {
				err = f(r, indexHit{Entry: e, meta: meta})
			}
			if err != nil {
				return fmt.Errorf("object %d at %d: %w", e.Object, e.TS, err)
			}
		}
		return nil
	})
}

// writeBaselines copies the last version in the day of each object to the
// baselines. A deletion is copied without its body, and only if it ends a
// baseline; gcBaselines removes both.
func (s *Store) writeBaselines(ctx context.Context, day uint16) error {
	b := bulkWriter{s: s}
	err := s.eachLastVersion(ctx, day, func(r *reader, h indexHit) error {
		groups, err := r.baselineGroups(h)
		for _, g := range groups {
			err = errors.Join(err, b.add(ctx, g.size(), func(w *batchTx) error { return w.add(g) }))
		}
		return err
	})
	return errors.Join(err, b.flush(ctx))
}

// baselineGroups returns the entries of a version's baseline, its metadata
// last.
//
// A damaged version becomes a damaged baseline, because it is the object's
// newest version: reading it returns the same error as before. If only its body
// is damaged, the metadata stays readable.
func (r *reader) baselineGroups(h indexHit) ([]group, error) {
	var last group
	rec, m, err := r.record(h.Entry, h.meta)
	if err != nil {
		if err := r.tolerateDamage(h, err); err != nil {
			return nil, err
		}
		last.set(key.Baseline(h.Object, h.TS), h.meta, 0)
		return []group{last}, nil
	}
	var groups []group
	if rec.Verb == history.Delete {
		if k, _, err := r.newestBefore(key.BaselinesOf(h.Object), h.TS); err != nil || k == nil {
			return nil, err
		}
		m.Parts = 0
	} else if groups, err = r.baselineBodyGroups(h, &m); err != nil {
		if err := r.tolerateDamage(h, err); err != nil {
			return nil, err
		}
	}
	// The metadata is written without phrases and with its own relations: the
	// day's phrases are dropped with the day.
	meta := codec.AppendMeta(nil, h.TS, rec, codec.Meta{Kind: m.Kind, Parts: m.Parts}, nil)
	last.set(key.Baseline(h.Object, h.TS), meta, 0)
	for k := range baselineKeys(rec, h.Object, h.TS) {
		last.set(k, nil, 0)
	}
	return append(groups, last), nil
}

// baselineBodyGroups returns the parts of a version's body as a snapshot, and
// sets their number in m.
func (r *reader) baselineBodyGroups(h indexHit, m *codec.Meta) (groups []group, err error) {
	json, err := r.body(h.Entry, m.Parts)
	if err != nil || len(json) == 0 {
		return nil, err
	}
	m.Parts = 0
	for part := range slices.Chunk(r.s.bodies.Snapshot(json, codec.Sum(json)).Encode(), maxPart) {
		var g group
		g.set(key.BaselineBody(h.Object, h.TS, m.Parts), part, 0)
		groups = append(groups, g)
		m.Parts++
	}
	return groups, nil
}

// tolerateDamage logs the error of a damaged version, and returns
// any other error. If a table is damaged, it returns the error of that: the
// table has to be repaired first, and what is lost gets a gap.
func (r *reader) tolerateDamage(h indexHit, err error) error {
	if !errors.Is(err, codec.ErrCorrupt) && !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if !r.intact {
		if damage := r.integrity.check(keyrange.Range{}); damage != nil {
			return damage
		}
		r.intact = true
	}
	r.s.logger.Error("a version is damaged", "object", h.Object, "at", moment(h.TS), "err", err)
	return nil
}

// gcBaselines removes the baselines of the day's objects that are older than
// their last versions in the day, and the baselines that are deletions. It also
// removes the heads, identities and names of objects that were deleted in the
// day and did not come back.
func (s *Store) gcBaselines(ctx context.Context, day uint16) error {
	b := bulkWriter{s: s}
	err := s.eachLastVersion(ctx, day, func(r *reader, h indexHit) error {
		o, damage := codec.DecodeOutline(h.meta) // writeBaselines logged damage
		deleted := damage == nil && o.Verb == history.Delete
		old, err := r.supersededBaselines(h, deleted)
		if err == nil && len(old) > 0 {
			err = b.add(ctx, old.size(), func(w *batchTx) error { return w.add(old) })
		}
		if err == nil && deleted {
			err = b.add(ctx, deleteObjectSize, func(w *batchTx) error { return w.deleteObjectAt(h.Object, o.Revision) })
		}
		return err
	})
	return errors.Join(err, b.flush(ctx))
}

// supersededBaselines returns the removal of an object's baselines that are
// older than the version h. If h is a deletion, that includes the baseline of
// h. The owners of a damaged baseline are unknown, so their index entries stay.
func (r *reader) supersededBaselines(h indexHit, deleted bool) (old group, err error) {
	err = r.each(key.BaselinesOf(h.Object), func(item *badger.Item) error {
		_, ts, err := key.DecodeBaseline(item.Key())
		if err != nil || ts > h.TS || ts == h.TS && !deleted {
			return err
		}
		old.remove(item.KeyCopy(nil))
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		rec, _, err := r.record(key.Entry{Object: h.Object, TS: ts}, meta)
		if err == nil {
			for k := range baselineKeys(rec, h.Object, ts) {
				old.remove(k)
			}
		} else if err := r.tolerateDamage(h, err); err != nil {
			return err
		}
		body := key.BaselineBody(h.Object, ts, 0)
		return r.each(body[:len(body)-2], func(item *badger.Item) error { // without the part: all parts
			old.remove(item.KeyCopy(nil))
			return nil
		})
	})
	return old, err
}

// deleteObjectSize is the approximate size of the writes of deleteObject in
// bytes.
const deleteObjectSize = 256

// deleteObjectAt removes an object's head, identity and name if its newest
// version is the deletion with the given revision.
func (w *batchTx) deleteObjectAt(object, revision uint64) error {
	b, err := w.get(key.Identity(object))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil // removed by an earlier attempt
	}
	if err != nil {
		return err
	}
	id, err := codec.DecodeIdentity(b)
	if err != nil {
		return err
	}
	k := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
	if b, err = w.get(k); err != nil {
		return err
	}
	head, err := codec.DecodeHead(b)
	if err != nil || head.Alive || head.Object != object || head.Revision != revision {
		return err
	}
	return w.deleteObject(k, object, &id)
}

// deleteObject removes an object's head, identity and name. head is the key of
// the head.
func (w *batchTx) deleteObject(head []byte, object uint64, id *codec.Identity) error {
	var g group
	g.remove(head)
	g.remove(key.Identity(object))
	g.remove(key.Name(id.Name, id.Resource, id.Namespace, object))
	return w.add(g)
}
