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

// day is what was seen of one day: the keys that there are, and those that its records have to have. They are compared by their
// sums, so that a day takes no memory; only where these differ are keys looked up.
type day struct {
	number  uint16
	entries map[key.Class]*pairing
	metas   pairing // the entries that have metadata, with it, and what that has to be
	parts   int64   // of bodies that have no record, if nothing else is wrong
}

// pairing compares two sets of keys.
type pairing struct{ want, got tally }

// tally is the fingerprint of a set of keys, whatever their order.
type tally struct {
	n   int64
	sum uint64
}

func (t *tally) add(k []byte) {
	t.n++
	t.sum += codec.Sum(k)
}

func (d *day) pairing(c key.Class) *pairing {
	p := d.entries[c]
	if p == nil {
		p = &pairing{}
		d.entries[c] = p
	}
	return p
}

// versioned looks at a key of a version.
func (v *verifier) versioned(k []byte, e key.Entry, value []byte) error {
	if number := key.Day(e.TS); v.day.entries == nil || number != v.day.number {
		if err := v.endOfDay(); err != nil {
			return err
		}
		v.day = day{number: number, entries: map[key.Class]*pairing{}}
	}
	v.highest.Last = max(v.highest.Last, e.TS)
	v.highest.Object = max(v.highest.Object, e.Object)
	switch e.Class {
	case key.Record:
		return v.record(e, value)
	case key.Body:
		v.day.parts++
	case key.Phrase: // read with what refers to it
	default:
		if len(value) > 0 {
			v.day.metas.got.add(append(slices.Clip(k), value...))
		}
		v.day.pairing(e.Class).got.add(k)
	}
	return nil
}

// record looks at a version: its metadata, its JSON, and that its object is known.
func (v *verifier) record(e key.Entry, meta []byte) error {
	v.Versions++
	rec, m, err := v.r.record(e, meta)
	if err == nil {
		e, err = v.complete(e, rec)
	}
	switch {
	case err == nil:
	case v.r.lost(key.Day(e.TS)): // meanwhile, and its phrases with it
		return nil
	default:
		v.version(e, "%v", err)
		return nil
	}
	for _, k := range keysOf(e, rec) {
		v.day.pairing(key.Class(k[3])).want.add(k)
	}
	for _, class := range withMetadata() {
		v.day.metas.want.add(append(e.In(class), meta...))
	}
	v.day.parts -= int64(m.Parts)
	if m.Parts == 0 {
		return nil
	}
	if err := v.json(version{e.Object, e.TS}, m.Parts); err != nil {
		if there, err := v.is(e.In(key.Record)); err != nil || !there {
			return err // its day was dropped meanwhile
		}
		v.version(e, "%v", err)
	}
	return nil
}

// json decodes a version's JSON and checks it.
func (v *verifier) json(at version, parts uint16) error {
	d, err := v.r.decoded(at, parts, maxChainRead)
	if err != nil {
		return err
	}
	return d.body.Verify(d.json)
}

// complete adds to the key of a record what index entries carry.
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

// endOfDay compares what is there of a day with what has to be. Of a day that was dropped meanwhile, not all could be looked at.
func (v *verifier) endOfDay() error {
	if v.r.lost(v.day.number) {
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
		if err := v.differing(); err != nil {
			return err
		}
	}
	v.Leftovers += max(v.day.parts, 0)
	return nil
}

// withMetadata returns the indexes whose entries have the versions' metadata.
func withMetadata() []key.Class { return []key.Class{key.ByTime, key.ByResource, key.ByNamespace} }

// differing reports the versions of the day whose metadata is another in an index. Entries from before they had it have none.
func (v *verifier) differing() error {
	for _, class := range withMetadata() {
		if err := v.differingIn(class); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) differingIn(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil || item.ValueSize() == 0 {
			return nil //nolint:nilerr // reported where the key was met
		}
		meta, err := get(v.r.txn, e.In(key.Record))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil // reported as missing
		}
		if err != nil {
			return err
		}
		return item.Value(func(value []byte) error {
			if !bytes.Equal(meta, value) {
				v.version(e, "its metadata is another in its %s", nameOf(class))
			}
			return v.s.goesOn(v.ctx)
		})
	})
}

// missing reports the versions of the day that have no entry in an index.
func (v *verifier) missing(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, key.Record), func(item *badger.Item) error {
		e, rec, err := v.read(item)
		if err != nil || rec == nil {
			return err
		}
		for _, k := range keysOf(e, rec) {
			if key.Class(k[3]) != class {
				continue
			}
			if there, err := v.is(k); err != nil {
				return err
			} else if !there {
				v.version(e, "its %s is missing", nameOf(class))
			}
		}
		return v.s.goesOn(v.ctx)
	})
}

// dangling reports the entries of an index in the day that no version has.
func (v *verifier) dangling(class key.Class) error {
	return v.r.each(key.ClassPrefix(v.day.number, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil {
			return nil //nolint:nilerr // reported where the key was met
		}
		meta, err := get(v.r.txn, e.In(key.Record))
		if errors.Is(err, badger.ErrKeyNotFound) {
			v.version(e, "it has an %s, and is missing", nameOf(class))
			return nil
		}
		if err != nil {
			return err
		}
		rec, _, err := v.r.record(e, meta)
		if err != nil {
			return nil //nolint:nilerr // reported where the record was met
		}
		of, err := v.complete(e, rec)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		has := slices.ContainsFunc(keysOf(of, rec), func(k []byte) bool { return string(k) == string(item.Key()) })
		if !has {
			v.version(e, "it has an %s that does not fit it", nameOf(class))
		}
		return v.s.goesOn(v.ctx)
	})
}

// read returns a record and its key, completed; nil where it is damaged, which was reported where it was met.
func (v *verifier) read(item *badger.Item) (e key.Entry, rec *history.Record, err error) {
	meta, err := item.ValueCopy(nil)
	if err != nil {
		return e, nil, err
	}
	if e, err = key.Decode(item.Key()); err != nil {
		return e, nil, nil //nolint:nilerr // reported already
	}
	if rec, _, err = v.r.record(e, meta); err != nil {
		return e, nil, nil //nolint:nilerr // reported already
	}
	if e, err = v.complete(e, rec); err != nil {
		return e, nil, nil //nolint:nilerr // reported already
	}
	return e, rec, nil
}

// nameOf says what keys of a class are.
func nameOf(c key.Class) string {
	switch c {
	case key.Record:
		return "metadata"
	case key.Body:
		return "JSON"
	case key.ByTime:
		return "entry in the index by time"
	case key.ByResource:
		return "entry in the index by resource"
	case key.ByNamespace:
		return "entry in the index by namespace"
	case key.ByTarget:
		return "entry in the index of targets"
	case key.ByOwner:
		return "entry in the index of owners"
	case key.Phrase:
		return "phrase of the day"
	default:
		return "key"
	}
}

// keysOf returns the keys that a version has beside its JSON.
func keysOf(e key.Entry, rec *history.Record) [][]byte {
	keys := [][]byte{e.In(key.ByTime), e.In(key.ByResource), e.In(key.ByNamespace)}
	if rec.Regarding != nil {
		e.Hash = targetHash(rec.Regarding)
		keys = append(keys, e.In(key.ByTarget))
	}
	for i, uid := range rec.Owners {
		if !slices.Contains(rec.Owners[:i], uid) {
			e.Hash = key.Sum(string(uid))
			keys = append(keys, e.In(key.ByOwner))
		}
	}
	return keys
}
