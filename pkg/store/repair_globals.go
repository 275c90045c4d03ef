package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// The prefixes of the keyspaces that exist once in a log.
func dictionaryPrefix() []byte { return key.Text(0, "")[:1] }
func checkpointPrefix() []byte { return key.Checkpoint(0)[:1] }

// restoreGlobals restores the keys that exist once in the log from the spare
// copy. It restores the numbers of the dictionaries from their texts, and the
// texts from the numbers. It is the first phase, because all other keys contain
// numbers of the dictionaries.
func (b *rebuild) restoreGlobals() error {
	if b.view.spare != nil {
		for _, e := range b.view.spare.entries {
			if bytes.HasPrefix(e.key, checkpointPrefix()) {
				continue // outdated: the watch would resume too early
			}
			if _, err := b.restore(e.key, e.value, e.expires); err != nil {
				return err
			}
		}
	}
	if !b.lost.Overlaps(dictionaryPrefix()) {
		return nil
	}
	return b.each(dictionaryPrefix(), func(item *badger.Item) error {
		value, err := item.ValueCopy(nil)
		if err != nil || len(item.Key()) < 3 {
			return err
		}
		of, rest := key.Dictionary(item.Key()[1]), item.KeyCopy(nil)[3:]
		switch { // the two directions: see key.Text and key.Number
		case item.Key()[2] == 't' && len(value) == 4:
			_, err = b.restore(key.Number(of, binary.BigEndian.Uint32(value)), rest, 0)
		case item.Key()[2] == 'n' && len(rest) == 4:
			_, err = b.restore(key.Text(of, string(value)), rest, 0)
		}
		return err
	})
}

// reconcileGlobals restores the keys that exist once in the log from the
// remaining keys: the catalogue, the format, the retention floor and the state.
// A lost redaction key is replaced by a new one. What restoreGlobals restored
// is not replaced.
func (b *rebuild) reconcileGlobals() error {
	if b.deletionPending {
		b.set(key.RepairPending(), []byte{1}, 0)
	}
	if b.lost.Overlaps(key.Catalogue()) {
		if err := b.restoreCatalogue(); err != nil {
			return err
		}
	}
	if !b.lost.Overlaps(key.Globals()) {
		return nil
	}
	if _, err := b.restore(key.Format(), encodeFormat(), 0); err != nil {
		return err
	}
	// The new key is used only if the old one is neither in the log nor in the
	// spare copy.
	made := make([]byte, redactionKeySize)
	if _, err := rand.Read(made); err != nil {
		return err
	}
	var err error
	if b.report.NewKey, err = b.restore(key.Redaction(), made, 0); err != nil {
		return err
	}
	if err := b.restoreFloor(); err != nil {
		return err
	}
	return b.restoreState()
}

// restoreRootsSince reads or restores since when root changes are indexed. If
// the key is lost, the first entry that is left is the bound: root changes
// before it are read like those of an older program.
func (b *rebuild) restoreRootsSince() (err error) {
	var indexed bool
	if b.rootsSince, indexed, err = rootsSince(b.r.txn); err != nil || indexed {
		return err
	}
	err = b.days(func(day uint16) error {
		return b.entries(day, key.ByRoot, func(e key.Entry, _ *badger.Item) error {
			b.rootsSince = e.TS
			return errStop
		})
	})
	if !errors.Is(err, errStop) {
		return err
	}
	b.set(key.RootsSince(), encodeTS(b.rootsSince), 0)
	return nil
}

// restoreFloor sets the retention floor to the first day that has keys, if
// there are baselines. The earlier days were dropped.
func (b *rebuild) restoreFloor() error {
	if !b.lost.Contains(key.RetentionFloor()) {
		return nil
	}
	// An older table may still have an earlier floor.
	first, err := retentionFloor(b.r.txn)
	oldest := firstDay(b.r.txn)
	if err != nil || oldest == noDay || oldest <= first {
		return err
	}
	// Without a baseline, no day was dropped.
	err = b.each(key.AllBaselines(), func(*badger.Item) error { return errStop })
	if !errors.Is(err, errStop) {
		return err
	}
	b.set(key.RetentionFloor(), encodeFloor(oldest), 0)
	return nil
}

// restoreState restores the log's state so that no time and no number is
// assigned twice.
func (b *rebuild) restoreState() error {
	if !b.lost.Contains(key.State()) {
		return nil
	}
	// An older table may still have an outdated state. It is a lower bound.
	var state codec.State
	if value, err := get(b.r.txn, key.State()); err == nil {
		if found, err := codec.DecodeState(value); err == nil {
			state = found
		}
	} else if !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if b.view.spare != nil {
		state.Last, state.Object = max(state.Last, b.view.spare.state.Last), max(state.Object,
			b.view.spare.state.Object)
	}
	// Keys can be newer than the spare copy.
	last, err := b.latestTime()
	if err != nil {
		return err
	}
	state.Last = max(state.Last, last)
	if state.Object, err = b.highestObject(state.Object); err != nil {
		return err
	}
	err = b.each(dictionaryPrefix(), func(item *badger.Item) error {
		k := item.Key()
		if len(k) == 3+4 && k[2] == 'n' {
			highest, _ := counter(&state, key.Dictionary(k[1]))
			*highest = max(*highest, binary.BigEndian.Uint32(k[3:]))
		}
		return nil
	})
	b.set(key.State(), state.Encode(), 0)
	return err
}

// latestTime returns the latest time of any key of the newest day, or 0 if
// there is none. The key may belong to a body whose version is lost.
func (b *rebuild) latestTime() (ts uint64, err error) {
	newest := -1
	if err := b.days(func(day uint16) error { newest = int(day); return nil }); err != nil || newest < 0 {
		return 0, err
	}
	return ts, b.each(key.DayPrefix(uint16(newest)), func(item *badger.Item) error {
		if e, err := key.Decode(item.Key()); err == nil {
			ts = max(ts, e.TS)
		}
		return nil
	})
}

// highestObject returns the highest object number of any identity or body, but
// at least n. In each day, bodies sort by object, so the last one suffices.
func (b *rebuild) highestObject(n uint64) (uint64, error) {
	err := b.each(key.Identities(), func(item *badger.Item) error {
		object, err := key.DecodeIdentity(item.Key())
		if err == nil {
			n = max(n, object)
		}
		return nil // not an identity
	})
	if err != nil {
		return n, err
	}
	return n, b.days(func(day uint16) error {
		it := b.r.txn.NewIterator(badger.IteratorOptions{Prefix: key.ClassPrefix(day, key.Body), Reverse: true})
		defer it.Close()
		it.Seek(binary.BigEndian.AppendUint64(key.ClassPrefix(day, key.Body), math.MaxUint64))
		if it.Valid() {
			if e, err := key.Decode(it.Item().Key()); err == nil {
				n = max(n, e.Object)
			}
		}
		return nil
	})
}

// restoreCatalogue adds resources to the catalogue that have versions. It reads
// the newest version of each day. The first of them determines Since, the last
// one the kind and the scope. The recorder completes the entries of the
// resources that it records.
func (b *rebuild) restoreCatalogue() error {
	return b.r.eachResource(nil, func(n uint16) error {
		r := b.groupResource(n)
		if r.Resource == "" || history.IsReserved(r) {
			return nil
		}
		entry := history.Resource{Group: r.Group, Plural: r.Resource}
		found := false
		err := b.days(func(day uint16) error {
			e := key.Entry{Class: key.ByResource, Resource: n}
			k, meta, err := b.r.newestBefore(e.Prefix(day), key.MaxTS)
			if err != nil || k == nil {
				return err
			}
			at, err := key.Decode(k)
			if err != nil {
				return nil //nolint:nilerr // another day may have a readable one
			}
			if rec, _, err := b.r.record(at, meta); err == nil {
				if !found { // recording began at this time or before
					entry.Since = rec.Time
				}
				entry.Version, entry.Kind, entry.Namespaced = rec.Version, rec.Kind, rec.Ref.Namespace != ""
				found = true
			}
			return nil
		})
		if err != nil || !found {
			return err
		}
		value, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		_, err = b.restore(key.CatalogueEntry(r.Group, r.Resource), value, 0)
		return err
	})
}

// resources returns the resources of the log by number. The name of a resource
// whose text is lost is empty.
func (b *rebuild) resources() (all map[uint16]schema.GroupResource, err error) {
	all = map[uint16]schema.GroupResource{}
	err = b.r.eachResource(nil, func(n uint16) error {
		all[n] = b.groupResource(n)
		return nil
	})
	return all, err
}
