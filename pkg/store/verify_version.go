package store

import (
	"bytes"
	"errors"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// dayKeys are the fingerprints of the keys of one day, and of those that the
// day's records require. They take constant memory. Keys are looked up only if
// the fingerprints differ.
type dayKeys struct {
	number  uint16
	entries map[key.Class]*pairing
	metas   pairing // index entries with their copies of the metadata
	parts   int64   // body parts without a record
}

// pairing compares two sets of keys.
type pairing struct{ want, got keySum }

// keySum is a fingerprint of a set of keys: their number, and the sum of their
// hashes. It does not depend on their order.
type keySum struct {
	n   int64
	sum uint64
}

func (t *keySum) add(k []byte) {
	t.n++
	t.sum += codec.Sum(k)
}

// pairing returns the pairing of the keys of a class.
func (d *dayKeys) pairing(c key.Class) *pairing {
	p := d.entries[c]
	if p == nil {
		p = &pairing{}
		d.entries[c] = p
	}
	return p
}

// dayKey verifies a key that belongs to a day. Keys sort by day, so the first
// key of another day ends the day before.
func (v *verifier) dayKey(k []byte, e key.Entry, value []byte) error {
	if number := key.Day(e.TS); v.day.entries == nil || number != v.day.number {
		if err := v.endOfDay(); err != nil {
			return err
		}
		v.day = dayKeys{number: number, entries: map[key.Class]*pairing{}}
	}
	v.highest.Last = max(v.highest.Last, e.TS)
	v.highest.Object = max(v.highest.Object, e.Object)
	switch e.Class {
	case key.Record:
		return v.record(e, value)
	case key.Body:
		v.day.parts++
	case key.Phrase: // verified with the metadata that refers to it
	default:
		if len(value) > 0 {
			v.day.metas.got.add(append(slices.Clip(k), value...))
		}
		v.day.pairing(e.Class).got.add(k)
	}
	return nil
}

// record verifies a version: its metadata, its JSON, and its object's identity.
func (v *verifier) record(e key.Entry, meta []byte) error {
	v.Versions++
	rec, m, err := v.r.record(e, meta)
	if err == nil {
		e, err = v.complete(e, rec)
	}
	switch {
	case err == nil:
	case v.r.droppedMeanwhile(key.Day(e.TS)): // the day dictionary is gone, too
		return nil
	default:
		v.version(e, "%v", err)
		return nil
	}
	for _, k := range indexKeys(e, rec, v.s.rootsSince) {
		v.day.pairing(key.Class(k[3])).want.add(k) // the class follows the letter and the day
	}
	for _, class := range metadataClassesOf(e.TS, meta, v.s.rootsSince) {
		v.day.metas.want.add(append(e.In(class), meta...))
	}
	v.day.parts -= int64(m.Parts)
	if m.Parts == 0 {
		return nil
	}
	if err := v.json(versionID{e.Object, e.TS}, m.Parts); err != nil {
		if there, err := v.exists(e.In(key.Record)); err != nil || !there {
			return err // its day was dropped meanwhile
		}
		v.version(e, "%v", err)
	}
	return nil
}

// json decodes a version's JSON and verifies its checksum.
func (v *verifier) json(at versionID, parts uint16) error {
	d, err := v.r.decoded(at, parts, maxChain)
	if err != nil {
		return err
	}
	return d.body.Verify(d.json)
}

// complete adds the resource, the namespace and the verb to the entry of a
// record, which the keys of indexes contain.
func (v *verifier) complete(e key.Entry, rec *history.Record) (key.Entry, error) {
	n, err := v.r.resource(rec.Ref.GroupResource())
	if err != nil {
		return e, err
	}
	e.Resource, e.Namespace, e.Verb = n, 0, byte(rec.Verb)
	if rec.Ref.Namespace != "" {
		e.Namespace, err = v.r.s.terms.number(v.r.txn, term{key.Namespaces, rec.Ref.Namespace})
	}
	return e, err
}

// endOfDay compares the keys of a day with those that its records require. Only
// if they differ, it reads the day again to find the keys. It skips a day that
// was dropped meanwhile.
func (v *verifier) endOfDay() error {
	if v.r.droppedMeanwhile(v.day.number) {
		return nil
	}
	for class, p := range v.day.entries {
		if p.want == p.got {
			continue
		}
		if err := errors.Join(v.missing(class), v.dangling(class)); err != nil {
			return err
		}
	}
	if v.day.metas.want != v.day.metas.got {
		if err := v.differingMetadata(); err != nil {
			return err
		}
	}
	v.Leftovers += max(v.day.parts, 0)
	return nil
}

// differingMetadata reports the versions of the day whose metadata differs
// between their key and an index.
func (v *verifier) differingMetadata() error {
	for _, class := range metadataClasses() {
		if err := v.differingIn(class); err != nil {
			return err
		}
	}
	return nil
}

// differingIn is differingMetadata for one index.
func (v *verifier) differingIn(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil || item.ValueSize() == 0 {
			return nil //nolint:nilerr // reported before
		}
		meta, err := get(v.r.txn, e.In(key.Record))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil // missing reports it
		}
		if err != nil {
			return err
		}
		return item.Value(func(value []byte) error {
			if !bytes.Equal(meta, value) {
				v.version(e, "its %s has other metadata", className(class))
			}
			return v.s.checkOpen(v.ctx)
		})
	})
}

// missing reports the versions of the day that lack an entry in an index.
func (v *verifier) missing(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, key.Record), func(item *badger.Item) error {
		e, rec, err := v.read(item)
		if err != nil || rec == nil {
			return err
		}
		for _, k := range indexKeys(e, rec, v.s.rootsSince) {
			if key.Class(k[3]) != class {
				continue
			}
			if there, err := v.exists(k); err != nil {
				return err
			} else if !there {
				v.version(e, "its %s is missing", className(class))
			}
		}
		return v.s.checkOpen(v.ctx)
	})
}

// dangling reports the entries of an index in the day that belong to no
// version, or whose version requires another entry.
func (v *verifier) dangling(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil {
			return nil //nolint:nilerr // reported before
		}
		meta, err := get(v.r.txn, e.In(key.Record))
		if errors.Is(err, badger.ErrKeyNotFound) {
			v.version(e, "it is missing but has an %s", className(class))
			return nil
		}
		if err != nil {
			return err
		}
		rec, _, err := v.r.record(e, meta)
		if err != nil {
			return nil //nolint:nilerr // reported before
		}
		of, err := v.complete(e, rec)
		if err != nil {
			return nil //nolint:nilerr // reported before
		}
		has := slices.ContainsFunc(indexKeys(of, rec, v.s.rootsSince), func(k []byte) bool {
			return string(k) == string(item.Key())
		})
		if !has {
			v.version(e, "it has a wrong %s", className(class))
		}
		return v.s.checkOpen(v.ctx)
	})
}

// read returns a record and its complete key. It returns nil if the record is
// corrupt, which was reported before.
func (v *verifier) read(item *badger.Item) (e key.Entry, rec *history.Record, err error) {
	meta, err := item.ValueCopy(nil)
	if err != nil {
		return e, nil, err
	}
	if e, err = key.Decode(item.Key()); err != nil {
		return e, nil, nil //nolint:nilerr // reported before
	}
	if rec, _, err = v.r.record(e, meta); err != nil {
		return e, nil, nil //nolint:nilerr // reported before
	}
	if e, err = v.complete(e, rec); err != nil {
		return e, nil, nil //nolint:nilerr // reported before
	}
	return e, rec, nil
}
