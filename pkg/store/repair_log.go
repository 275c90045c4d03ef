package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// rebuild makes a log consistent again after ranges of its keys were lost. What a key held is restored if something else tells it: index
// entries and metadata from one another, identities from the objects' JSON, names and heads from identities and versions, and what
// there is once a log from its spare copy. A version of which the JSON can't be read any more is removed, and so is one whose object
// is not known; gaps say so. Keys that changed over time and were lost are never left as an older table has them.
//
// The invariant: whatever it leaves was written, and whatever is missing afterwards lies in a gap.
//
// It works in phases, each of which reads the log as the one before left it.
type rebuild struct {
	ctx   context.Context //nolint:containedctx // of one call
	view  *view
	lost  keyRanges
	spare *spare // nil: there is none

	r       *reader // of this phase
	dropped map[version]bool
	objects map[uint64]bool   // of which a version was dropped, or something else was lost
	relist  map[uint16]bool   // resources whose current state is not known any more
	losses  map[uint16][]loss // by resource; 0: it is not known
	unknown map[uint16][]loss // times of which versions of a resource may be lost without a trace
	untold  bool              // a deletion is lost of which the head tells
	report  *Report
}

// loss is an interval in which something of a resource is missing. to is 0 if it is so until the resource is listed again.
type loss struct {
	from, to uint64
	why      string
}

const (
	whyDamaged = "a file of the database was damaged, and versions in it are lost"
	whyLedger  = "a file of the database was damaged, and with it the record of earlier gaps"
	whyCurrent = "a file of the database was damaged, and with it where recording had got to"
)

func newRebuild(ctx context.Context, v *view, sp *spare, report *Report) *rebuild {
	return &rebuild{
		ctx: ctx, view: v, lost: v.of.lost, spare: sp, report: report, dropped: map[version]bool{}, objects: map[uint64]bool{},
		relist: map[uint16]bool{}, losses: map[uint16][]loss{}, unknown: map[uint16][]loss{},
	}
}

// run makes the edits of the view.
func (b *rebuild) run() error {
	for _, phase := range []func() error{
		b.restoreOnce, b.eachDay(b.restoreEntries), b.restoreIdentities, b.eachDay(b.dropPhrases),
		b.eachDay(b.restoreIndexes), b.restoreNames, b.dropStanding, b.dropUnknown, b.eachDay(b.dropBroken), b.sweepDays,
		b.findUnknown, b.settleHeads, b.settleLog, b.markLosses,
	} {
		err := b.view.apply(func(r *reader) error {
			b.r = r
			return phase()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachDay returns a phase that calls f for every day of which keys are lost.
func (b *rebuild) eachDay(f func(day uint16) error) func() error {
	return func() error {
		return b.days(func(day uint16) error {
			if !b.lost.touches(key.DayPrefix(day)) {
				return nil
			}
			return f(day)
		})
	}
}

// days calls f for every day that has keys, in order.
func (b *rebuild) days(f func(day uint16) error) error {
	var days []uint16
	it := b.r.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
	for it.Rewind(); it.Valid(); {
		day := binary.BigEndian.Uint16(append(it.Item().KeyCopy(nil), 0, 0)[1:3])
		days = append(days, day)
		next := prefixEnd(key.DayPrefix(day))
		if it.Seek(next); !it.Valid() || day == 1<<16-1 {
			break
		}
	}
	it.Close()
	for _, day := range days {
		if err := cmp.Or(b.ctx.Err(), f(day)); err != nil {
			return err
		}
	}
	return nil
}

// each calls f for every key with a prefix that has not been removed.
func (b *rebuild) each(prefix []byte, f func(*badger.Item) error) error {
	return b.r.each(prefix, func(item *badger.Item) error {
		if b.view.edits[string(item.Key())].removed {
			return nil
		}
		return f(item)
	})
}

// entries calls f for every key of a class of a day, decoded. What is no such key is removed.
func (b *rebuild) entries(day uint16, class key.Class, f func(key.Entry, *badger.Item) error) error {
	return b.each(key.ClassPrefix(day, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil {
			b.remove(item.KeyCopy(nil))
			return nil //nolint:nilerr // nothing can refer to it
		}
		return cmp.Or(b.ctx.Err(), f(e, item))
	})
}

func (b *rebuild) set(k, v []byte, expires uint64) {
	b.view.edits[string(k)] = edit{value: slices.Clone(v), expires: expires}
}

func (b *rebuild) remove(k []byte) { b.view.edits[string(k)] = edit{removed: true} }

// restore sets a key that is lost, unless it is there. It reports whether it did.
func (b *rebuild) restore(k, v []byte, expires uint64) (bool, error) {
	if !b.lost.contains(k) {
		return false, nil
	}
	there, err := b.is(k)
	if err != nil || there {
		return false, err
	}
	b.set(k, v, expires)
	b.report.Restored++
	return true, nil
}

// is reports whether there is a key.
func (b *rebuild) is(k []byte) (bool, error) {
	if e, edited := b.view.edits[string(k)]; edited {
		return !e.removed, nil
	}
	_, err := b.r.txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// drop removes a version, and says that it is missing.
func (b *rebuild) drop(resource uint16, v version) {
	if b.dropped[v] {
		return
	}
	b.dropped[v], b.objects[v.object] = true, true
	b.report.lose(resource, v)
}

// lose says that something of a resource is missing.
func (b *rebuild) lose(resource uint16, l loss) {
	b.losses[resource] = append(b.losses[resource], l)
	if l.to == 0 {
		b.relist[resource] = true
	}
}

// indexed are the classes whose keys name all that a version is found by, and whose values are its metadata.
func indexed() []key.Class { return []key.Class{key.ByTime, key.ByResource, key.ByNamespace} }

// restoreEntries restores metadata and index entries of a day from the index entries that are left.
func (b *rebuild) restoreEntries(day uint16) error {
	for _, from := range indexed() {
		err := b.entries(day, from, func(e key.Entry, item *badger.Item) error {
			if item.ValueSize() == 0 {
				return nil // written before index entries had metadata
			}
			return item.Value(func(meta []byte) error {
				for _, to := range append(indexed(), key.Record) {
					if _, err := b.restore(e.In(to), meta, item.ExpiresAt()); err != nil {
						return err
					}
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dropPhrases takes managers and words out of the metadata that refers to phrases which are lost. The versions stay.
func (b *rebuild) dropPhrases(day uint16) error {
	if !b.lost.touches(key.ClassPrefix(day, key.Phrase)) {
		return nil
	}
	texts := func(n uint16) (string, error) { return b.r.phrase(day, n) }
	return b.entries(day, key.Record, func(e key.Entry, item *badger.Item) error {
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		var rec history.Record
		if _, err = codec.DecodeMeta(meta, e.TS, &rec, texts); !errors.Is(err, badger.ErrKeyNotFound) {
			return nil // it has all of its phrases, or is damaged beyond that, which dropUnknown looks at
		}
		at, known, err := b.place(e)
		if err != nil || !known {
			return err
		}
		kept, ok := codec.WithoutPhrases(meta, texts, b.related(at))
		if !ok {
			return nil // dropUnknown finds that it can't be read
		}
		b.setMeta(at, kept, item.ExpiresAt())
		b.report.Unattributed++
		return nil
	})
}

// setMeta changes the metadata of a version wherever it stands.
func (b *rebuild) setMeta(at key.Entry, meta []byte, expires uint64) {
	for _, class := range append(indexed(), key.Record) {
		b.set(at.In(class), meta, expires)
	}
}

// place completes the key of a version's metadata by its index entry. It is false if there is none.
func (b *rebuild) place(e key.Entry) (at key.Entry, known bool, err error) {
	byTime := key.Entry{Class: key.ByTime}
	prefix := binary.BigEndian.AppendUint64(byTime.Prefix(key.Day(e.TS)), e.TS)
	err = b.each(prefix, func(item *badger.Item) error {
		if found, err := key.Decode(item.Key()); err == nil && found.Object == e.Object {
			at, known = found, true
		}
		return nil
	})
	return at, known, err
}

// related returns what reports whether owners and a target may be those of a version: their index entries are there, or lost.
func (b *rebuild) related(at key.Entry) func([]types.UID, *history.Target) bool {
	return func(owners []types.UID, target *history.Target) bool {
		rec := &history.Record{Owners: owners, Regarding: target}
		for _, k := range keysOf(at, rec)[len(indexed()):] {
			if there, err := b.is(k); err != nil || !there && !b.lost.contains(k) {
				return false
			}
		}
		return true
	}
}

// restoreIndexes restores the index entries of a day from the metadata of its versions.
func (b *rebuild) restoreIndexes(day uint16) error {
	var classes []key.Class
	for _, class := range append(indexed(), key.ByTarget, key.ByOwner) {
		if b.lost.touches(key.ClassPrefix(day, class)) {
			classes = append(classes, class)
		}
	}
	if len(classes) == 0 {
		return nil
	}
	return b.entries(day, key.Record, func(e key.Entry, item *badger.Item) error {
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		rec, _, err := b.r.record(e, meta)
		if err != nil {
			return nil //nolint:nilerr // dropUnknown finds it, too
		}
		id, err := b.r.identityOf(e.Object)
		if err != nil {
			return err
		}
		e.Resource, e.Namespace, e.Verb = id.Resource, id.Namespace, byte(rec.Verb)
		for _, k := range keysOf(e, rec) {
			value := meta
			if c := key.Class(k[3]); c == key.ByTarget || c == key.ByOwner {
				value = nil
			}
			if _, err := b.restore(k, value, item.ExpiresAt()); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropUnknown drops the versions of all days whose metadata can't be read, or whose object is not known, because what these refer to
// is lost.
func (b *rebuild) dropUnknown() error {
	known := map[uint64]uint16{}
	return b.days(func(day uint16) error {
		touched := b.lost.touches(key.DayPrefix(day))
		if !touched && !b.lost.touches(key.Identities()) && !b.lost.touches(key.Text(key.Kinds, "")[:1]) {
			return nil
		}
		return b.entries(day, key.Record, func(e key.Entry, item *badger.Item) error {
			meta, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			if _, _, err = b.r.record(e, meta); err == nil {
				return nil
			}
			if !errors.Is(err, badger.ErrKeyNotFound) && !errors.Is(err, codec.ErrCorrupt) {
				return err
			}
			resource, found := known[e.Object]
			if !found {
				if at, is, err := b.place(e); err != nil {
					return err
				} else if is {
					resource = at.Resource
				}
				known[e.Object] = resource
			}
			b.drop(resource, version{e.Object, e.TS})
			return nil
		})
	})
}

// dropBroken drops the versions of a day whose JSON can't be read any more, be it because it is lost or because another one is that it
// is a difference to. Of a deletion, only the JSON goes.
func (b *rebuild) dropBroken(day uint16) error {
	if !b.lost.touches(key.ClassPrefix(day, key.Body)) {
		return nil
	}
	chains := chains{b: b, sound: map[version]bool{}}
	return b.entries(day, key.Record, func(e key.Entry, item *badger.Item) error {
		return item.Value(func(meta []byte) error { return chains.look(e, meta, item.ExpiresAt()) })
	})
}

// sweepDays removes the metadata and index entries that belong to dropped versions, or to none. JSON stays: that of other versions may
// be a difference to it.
func (b *rebuild) sweepDays() error {
	swept := map[uint16]bool{}
	for v := range b.dropped {
		swept[key.Day(v.ts)] = true
	}
	return b.days(func(day uint16) error {
		if !swept[day] && !b.lost.touches(key.ClassPrefix(day, key.Record)) {
			return nil
		}
		return b.sweepDay(day)
	})
}

func (b *rebuild) sweepDay(day uint16) error {
	for _, class := range append(indexed(), key.Record, key.ByTarget, key.ByOwner) {
		err := b.entries(day, class, func(e key.Entry, item *badger.Item) error {
			if b.dropped[version{e.Object, e.TS}] {
				b.remove(item.KeyCopy(nil))
				return nil
			}
			orphaned, err := b.orphaned(e)
			if orphaned {
				b.remove(item.KeyCopy(nil))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return b.entries(day, key.Body, func(e key.Entry, _ *badger.Item) error {
		if e.Part > 0 || b.dropped[version{e.Object, e.TS}] {
			return nil
		}
		orphaned, err := b.orphaned(e)
		if orphaned {
			b.drop(b.resourceOf(e.Object), version{e.Object, e.TS})
		}
		return err
	})
}

// orphaned reports whether the metadata is lost that a key belongs to.
func (b *rebuild) orphaned(e key.Entry) (bool, error) {
	record := e.In(key.Record)
	if !b.lost.contains(record) {
		return false, nil
	}
	there, err := b.is(record)
	return err == nil && !there, err
}

// resourceOf returns the number of an object's resource; 0 if it is not known.
func (b *rebuild) resourceOf(object uint64) uint16 {
	id, err := b.r.identityOf(object)
	if err != nil {
		return 0
	}
	return id.Resource
}

// chains finds out which bodies can be read, by the deltas that they are.
type chains struct {
	b     *rebuild
	sound map[version]bool
}

// look drops a version whose body can't be read.
func (c *chains) look(e key.Entry, meta []byte, expires uint64) error {
	o, err := codec.DecodeOutline(meta)
	v := version{e.Object, e.TS}
	if err != nil || o.Parts == 0 || c.b.dropped[v] || c.reads(v, o.Parts, maxChainRead) {
		return nil //nolint:nilerr // dropUnknown has found that it can't be read
	}
	id, err := c.b.r.identityOf(e.Object)
	if err != nil {
		return err
	}
	if o.Verb != history.Delete {
		c.b.drop(id.Resource, v)
		return nil
	}
	bare, err := codec.WithoutBody(meta)
	if err != nil {
		return err
	}
	e.Resource, e.Namespace, e.Verb = id.Resource, id.Namespace, byte(o.Verb)
	c.b.setMeta(e, bare, expires)
	c.b.report.Bare++
	c.b.objects[e.Object] = true
	c.b.lose(id.Resource, loss{e.TS, e.TS + 1, whyDamaged})
	return nil
}

// reads reports whether the body of a version is there, and those that it is a difference to.
func (c *chains) reads(v version, parts uint16, chain int) bool {
	if sound, known := c.sound[v]; known {
		return sound
	}
	stored, err := c.b.r.stored(v, parts)
	if err != nil {
		c.sound[v] = false
		return false
	}
	body, err := codec.ParseBody(stored)
	sound := err == nil
	if sound && body.IsDelta() {
		base := &body.Base
		sound = chain > 0 && base.Ago > 0 && base.Ago <= v.ts &&
			c.reads(version{v.object - uint64(base.Object), v.ts - base.Ago}, base.Parts, chain-1)
	}
	c.sound[v] = sound
	return sound
}

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
