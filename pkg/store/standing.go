package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
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
