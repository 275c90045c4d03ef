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

// prefixes of the keyspaces of which there is one in a log.
func dictionaryPrefix() []byte { return key.Text(0, "")[:1] }
func checkpointPrefix() []byte { return key.Checkpoint(0)[:1] }

// restoreOnce restores what there is once a log: from its spare copy and, of the dictionaries, numbers from texts and texts from
// numbers.
func (b *rebuild) restoreOnce() error {
	if b.spare != nil {
		for _, e := range b.spare.entries {
			if bytes.HasPrefix(e.key, checkpointPrefix()) {
				continue // they are old, and watching would go on from there
			}
			if _, err := b.restore(e.key, e.value, e.expires); err != nil {
				return err
			}
		}
	}
	if !b.lost.touches(dictionaryPrefix()) {
		return nil
	}
	return b.each(dictionaryPrefix(), func(item *badger.Item) error {
		value, err := item.ValueCopy(nil)
		if err != nil || len(item.Key()) < 3 {
			return err
		}
		of, rest := key.Dictionary(item.Key()[1]), item.KeyCopy(nil)[3:]
		switch {
		case item.Key()[2] == 't' && len(value) == 4:
			_, err = b.restore(key.Number(of, binary.BigEndian.Uint32(value)), rest, 0)
		case item.Key()[2] == 'n' && len(rest) == 4:
			_, err = b.restore(key.Text(of, string(value)), rest, 0)
		}
		return err
	})
}

// settleLog restores what there is once a log from what is left: the highest numbers, the floor, the format, the catalogue.
func (b *rebuild) settleLog() error {
	if b.untold {
		b.set(key.Repaired(), []byte{1}, 0)
	}
	if b.lost.touches(key.Catalogue()) {
		if err := b.settleCatalogue(); err != nil {
			return err
		}
	}
	if !b.lost.touches(key.Once()) {
		return nil
	}
	if _, err := b.restore(key.Format(), binary.BigEndian.AppendUint16(nil, format), 0); err != nil {
		return err
	}
	made := make([]byte, redactionKey)
	if _, err := rand.Read(made); err != nil {
		return err
	}
	var err error
	if b.report.NewKey, err = b.restore(key.Redaction(), made, 0); err != nil {
		return err
	}
	if err := b.settleFloor(); err != nil {
		return err
	}
	return b.settleState()
}

// settleFloor makes the first day that has keys the floor, if something was carried to there. Days before it are gone.
func (b *rebuild) settleFloor() error {
	if !b.lost.contains(key.Floor()) {
		return nil
	}
	first, err := floor(b.r.txn)
	oldest := oldestDay(b.r.txn)
	if err != nil || oldest == noDay || oldest <= first {
		return err
	}
	err = b.each(key.StandingOf(0)[:2], func(*badger.Item) error { return errStop })
	if !errors.Is(err, errStop) {
		return err
	}
	b.set(key.Floor(), encodeFloor(oldest), 0)
	return nil
}

// settleState makes the log's state one that gives no time and no number again.
func (b *rebuild) settleState() error {
	if !b.lost.contains(key.State()) {
		return nil
	}
	var state codec.State
	if value, err := get(b.r.txn, key.State()); err == nil {
		if found, err := codec.DecodeState(value); err == nil {
			state = found
		}
	} else if !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if b.spare != nil {
		state.Last, state.Object = max(state.Last, b.spare.state.Last), max(state.Object, b.spare.state.Object)
	}
	last, err := b.lastOf()
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

// lastOf returns the latest time that a key of the newest day has, be it of a body whose version is lost.
func (b *rebuild) lastOf() (ts uint64, err error) {
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

// highestObject returns the highest object number that any key has.
func (b *rebuild) highestObject(n uint64) (uint64, error) {
	err := b.each(key.Identities(), func(item *badger.Item) error {
		object, err := key.DecodeIdentity(item.Key())
		if err == nil {
			n = max(n, object)
		}
		return nil // a key of anything else has no number
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

// settleCatalogue puts resources into the catalogue that have versions and are not in it, as far as their versions describe them.
// The recorder describes again what it records.
func (b *rebuild) settleCatalogue() error {
	return b.r.eachResource(nil, func(n uint16) error {
		r := b.groupResource(n)
		if r.Resource == "" {
			return nil
		}
		described := history.Resource{Group: r.Group, Plural: r.Resource}
		found := false
		err := b.days(func(day uint16) error {
			e := key.Entry{Class: key.ByResource, Resource: n}
			k, meta, err := b.r.newest(e.Prefix(day), key.MaxTS)
			if err != nil || k == nil {
				return err
			}
			at, err := key.Decode(k)
			if err != nil {
				return nil //nolint:nilerr // the next day has another
			}
			if rec, _, err := b.r.record(at, meta); err == nil {
				if !found { // recording began no later
					described.Since = rec.Time
				}
				described.Version, described.Kind, described.Namespaced, found = rec.Version, rec.Kind, rec.Ref.Namespace != "", true
			}
			return nil
		})
		if err != nil || !found {
			return err
		}
		value, err := json.Marshal(described)
		if err != nil {
			return err
		}
		_, err = b.restore(key.Catalogued(r.Group, r.Resource), value, 0)
		return err
	})
}

// resources returns the resources that the log knows.
func (b *rebuild) resources() (all map[uint16]schema.GroupResource, err error) {
	all = map[uint16]schema.GroupResource{}
	err = b.r.eachResource(nil, func(n uint16) error {
		all[n] = b.groupResource(n)
		return nil
	})
	return all, err
}
