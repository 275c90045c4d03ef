package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// rebuild makes a log consistent again after ranges of its keys were lost. It
// restores a lost key if other keys determine its value:
//
//   - metadata and index entries from each other,
//   - identities from the JSON of versions,
//   - names and heads from identities and versions,
//   - keys that exist once in the log from the spare copy.
//
// A version whose JSON or whose object can't be determined is dropped, and a
// gap covers it.
//
// Invariant: every value that remains was written, and everything that is
// missing is covered by a gap. A lost key is never left with an outdated value
// of an older table.
//
// It works in phases. Each phase reads the log with the edits of the earlier
// phases. Edits of the same phase are seen only by exists and each. It must be
// used by one goroutine.
type rebuild struct {
	ctx  context.Context //nolint:containedctx // for one call
	view *view
	lost keyrange.Set

	r               *reader // of the current phase
	dropped         map[versionID]bool
	changed         map[uint64]bool   // objects whose head must be reconciled
	relist          map[uint16]bool   // resources whose current state is unknown
	losses          map[uint16][]loss // by resource; 0: unknown
	unknown         map[uint16][]loss // when versions may be lost that leave no trace, by resource
	rootsSince      uint64            // see Store.rootsSince
	deletionPending bool              // a deletion is lost that a head still shows
	report          *Report
}

// loss is an interval in which something of a resource is missing.
type loss struct {
	from, to uint64 // to is 0: until the resource is listed again
	detail   string
}

// The details of the gaps that a repair adds.
const (
	detailVersions   = "a file of the database was damaged, and its versions are lost"
	detailGaps       = "a file of the database was damaged, and earlier gaps are lost"
	detailCheckpoint = "a file of the database was damaged, and the checkpoint is lost"
)

func newRebuild(ctx context.Context, v *view, report *Report) *rebuild {
	return &rebuild{
		ctx: ctx, view: v, lost: v.Salvage().Lost(), report: report,
		dropped: map[versionID]bool{}, changed: map[uint64]bool{},
		relist: map[uint16]bool{}, losses: map[uint16][]loss{}, unknown: map[uint16][]loss{},
	}
}

// run makes the edits of the view, in phases. Keys are restored before versions
// are dropped, so that no version is dropped because of a key that can be
// restored. Heads and gaps come last: they depend on the versions that remain.
func (b *rebuild) run() error {
	for _, phase := range []func() error{
		b.restoreGlobals, b.restoreRootsSince,
		b.eachDay(b.restoreEntries), b.restoreIdentities, b.eachDay(b.dropPhrases),
		b.eachDay(b.restoreIndexes), b.restoreNames,
		b.dropBaselines, b.dropUnreadable, b.eachDay(b.dropBrokenBodies), b.sweepOrphans,
		b.findUnknown, b.reconcileHeads, b.reconcileGlobals, b.addGaps,
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

// eachDay returns a phase that calls f for each day with lost keys.
func (b *rebuild) eachDay(f func(day uint16) error) func() error {
	return func() error {
		return b.days(func(day uint16) error {
			if !b.lost.Overlaps(key.DayPrefix(day)) {
				return nil
			}
			return f(day)
		})
	}
}

// days calls f for each day that has keys, in ascending order.
func (b *rebuild) days(f func(day uint16) error) error {
	var days []uint16
	it := b.r.txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
	for it.Rewind(); it.Valid(); {
		day := binary.BigEndian.Uint16(append(it.Item().KeyCopy(nil), 0, 0)[1:3]) // a malformed key may be short
		days = append(days, day)
		next := keyrange.PrefixEnd(key.DayPrefix(day))
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

// each calls f for each key with a prefix, except those that this phase
// removed.
func (b *rebuild) each(prefix []byte, f func(*badger.Item) error) error {
	return b.r.each(prefix, func(item *badger.Item) error {
		if b.view.Edits[string(item.Key())].Removed {
			return nil
		}
		return f(item)
	})
}

// entries calls f for each key of a class of a day. It removes keys that can't
// be decoded.
func (b *rebuild) entries(day uint16, class key.Class, f func(key.Entry, *badger.Item) error) error {
	return b.each(key.ClassPrefix(day, class), func(item *badger.Item) error {
		e, err := key.Decode(item.Key())
		if err != nil {
			b.remove(item.KeyCopy(nil))
			return nil //nolint:nilerr // no other key refers to it
		}
		return cmp.Or(b.ctx.Err(), f(e, item))
	})
}

// set sets the value of a key. It copies the value.
func (b *rebuild) set(k, v []byte, expires uint64) {
	b.view.Edits[string(k)] = badgerdir.Edit{Value: slices.Clone(v), Expires: expires}
}

// remove removes a key.
func (b *rebuild) remove(k []byte) { b.view.Edits[string(k)] = badgerdir.Edit{Removed: true} }

// restore sets a key if it is in a lost range and absent. It reports whether it
// did. A key outside of lost ranges has its newest value, or does not exist.
func (b *rebuild) restore(k, v []byte, expires uint64) (bool, error) {
	if !b.lost.Contains(k) {
		return false, nil
	}
	there, err := b.exists(k)
	if err != nil || there {
		return false, err
	}
	b.set(k, v, expires)
	b.report.Restored++
	return true, nil
}

// exists reports whether a key exists, including the edits of this phase.
func (b *rebuild) exists(k []byte) (bool, error) {
	if e, edited := b.view.Edits[string(k)]; edited {
		return !e.Removed, nil
	}
	_, err := b.r.txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// drop marks a version as dropped, and adds it to the report.
func (b *rebuild) drop(resource uint16, v versionID) {
	if b.dropped[v] {
		return
	}
	b.dropped[v], b.changed[v.object] = true, true
	b.report.addLost(resource, v)
}

// addLoss adds a loss of a resource; 0 means all resources.
func (b *rebuild) addLoss(resource uint16, l loss) {
	b.losses[resource] = append(b.losses[resource], l)
	if l.to == 0 {
		b.relist[resource] = true
	}
}

// restoreEntries restores the metadata and index entries of a day from the
// remaining index entries, which have copies of the metadata.
func (b *rebuild) restoreEntries(day uint16) error {
	for _, from := range metadataClasses() {
		err := b.entries(day, from, func(e key.Entry, item *badger.Item) error {
			if item.ValueSize() == 0 {
				return nil // an empty entry can't restore metadata
			}
			return item.Value(func(meta []byte) error {
				for _, to := range append(metadataClassesOf(e.TS, meta, b.rootsSince), key.Record) {
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

// dropPhrases removes the managers and the summary from metadata that refers to
// lost entries of the day's dictionary. The versions remain.
func (b *rebuild) dropPhrases(day uint16) error {
	if !b.lost.Overlaps(key.ClassPrefix(day, key.Phrase)) {
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
			return nil // complete, or corrupt: then dropUnreadable drops it
		}
		at, known, err := b.locate(e)
		if err != nil || !known {
			return err
		}
		// The managers are a phrase, too. If it is lost, the index entries show
		// which owners and target follow.
		kept, ok := codec.WithoutPhrases(meta, texts, b.relationsExist(at))
		if !ok {
			return nil // corrupt: dropUnreadable drops it
		}
		b.setMeta(at, kept, item.ExpiresAt())
		b.report.Unattributed++
		return nil
	})
}

// setMeta changes the metadata of a version in its own key and in all copies.
func (b *rebuild) setMeta(at key.Entry, meta []byte, expires uint64) {
	for _, class := range append(metadataClassesOf(at.TS, meta, b.rootsSince), key.Record) {
		b.set(at.In(class), meta, expires)
	}
}

// locate completes the key of a version's metadata from its entry in the index
// by time. known is false if there is no such entry.
func (b *rebuild) locate(e key.Entry) (at key.Entry, known bool, err error) {
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

// relationsExist returns a function that reports whether a version may have
// some owners and a target: their index entries exist or are lost. at is the
// version's entry in the index by time.
func (b *rebuild) relationsExist(at key.Entry) func([]types.UID, *history.Target) bool {
	return func(owners []types.UID, target *history.Target) bool {
		rec := &history.Record{Owners: owners, Regarding: target}
		for _, k := range hashedKeys(at, rec) {
			if there, err := b.exists(k); err != nil || !there && !b.lost.Contains(k) {
				return false
			}
		}
		return true
	}
}

// restoreIndexes restores the index entries of a day from the metadata of its
// versions.
func (b *rebuild) restoreIndexes(day uint16) error {
	var classes []key.Class
	for _, class := range append(metadataClasses(), hashedClasses()...) {
		if b.lost.Overlaps(key.ClassPrefix(day, class)) {
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
			return nil //nolint:nilerr // corrupt: dropUnreadable drops it
		}
		id, err := b.r.identityOf(e.Object)
		if err != nil {
			return err
		}
		e.Resource, e.Namespace, e.Verb = id.Resource, id.Namespace, byte(rec.Verb)
		for _, k := range indexKeys(e, rec, b.rootsSince) {
			value := meta
			if slices.Contains(hashedClasses(), key.Class(k[3])) {
				value = nil
			}
			if _, err := b.restore(k, value, item.ExpiresAt()); err != nil {
				return err
			}
		}
		return nil
	})
}

// dropUnreadable drops the versions whose metadata can't be decoded, because it
// refers to lost keys, and those whose object is unknown.
func (b *rebuild) dropUnreadable() error {
	known := map[uint64]uint16{}
	return b.days(func(day uint16) error {
		touched := b.lost.Overlaps(key.DayPrefix(day))
		if !touched && !b.lost.Overlaps(key.Identities()) && !b.lost.Overlaps(key.Text(key.Kinds, "")[:1]) {
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
			// The identity may be lost, so the resource is that of an index
			// entry.
			resource, found := known[e.Object]
			if !found {
				if at, is, err := b.locate(e); err != nil {
					return err
				} else if is {
					resource = at.Resource
				}
				known[e.Object] = resource
			}
			b.drop(resource, versionID{e.Object, e.TS})
			return nil
		})
	})
}

// dropBrokenBodies drops the versions of a day whose JSON can't be read: a part
// is lost, or a version that it is a delta against. A deletion loses only its
// JSON.
func (b *rebuild) dropBrokenBodies(day uint16) error {
	if !b.lost.Overlaps(key.ClassPrefix(day, key.Body)) {
		return nil
	}
	chains := deltaChains{b: b, known: map[versionID]bool{}}
	return b.entries(day, key.Record, func(e key.Entry, item *badger.Item) error {
		return item.Value(func(meta []byte) error { return chains.check(e, meta, item.ExpiresAt()) })
	})
}

// sweepOrphans removes the metadata and index entries of dropped versions, and
// those without metadata. Bodies remain, because others may be deltas against
// them.
func (b *rebuild) sweepOrphans() error {
	swept := map[uint16]bool{}
	for v := range b.dropped {
		swept[key.Day(v.ts)] = true
	}
	return b.days(func(day uint16) error {
		if !swept[day] && !b.lost.Overlaps(key.ClassPrefix(day, key.Record)) {
			return nil
		}
		return b.sweepDay(day)
	})
}

// sweepDay is sweepOrphans for one day. It also drops a version of which only
// the body is left, so that a gap covers it.
func (b *rebuild) sweepDay(day uint16) error {
	for _, class := range append(append(metadataClasses(), key.Record), hashedClasses()...) {
		err := b.entries(day, class, func(e key.Entry, item *badger.Item) error {
			if b.dropped[versionID{e.Object, e.TS}] {
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
		if e.Part > 0 || b.dropped[versionID{e.Object, e.TS}] {
			return nil
		}
		orphaned, err := b.orphaned(e)
		if orphaned {
			b.drop(b.resourceOf(e.Object), versionID{e.Object, e.TS})
		}
		return err
	})
}

// orphaned reports whether the metadata of a key is lost.
func (b *rebuild) orphaned(e key.Entry) (bool, error) {
	record := e.In(key.Record)
	if !b.lost.Contains(record) {
		return false, nil
	}
	there, err := b.exists(record)
	return err == nil && !there, err
}

// resourceOf returns the number of an object's resource; 0 if it is unknown.
func (b *rebuild) resourceOf(object uint64) uint16 {
	id, err := b.r.identityOf(object)
	if err != nil {
		return 0
	}
	return id.Resource
}

// deltaChains determines which bodies can be read, along their deltas. It
// checks whether they exist and parse. It doesn't decode them, because the
// checksums of the blocks were verified.
type deltaChains struct {
	b     *rebuild
	known map[versionID]bool // whether a body can be read
}

// check drops a version whose body can't be read. A deletion loses only its
// body.
func (c *deltaChains) check(e key.Entry, meta []byte, expires uint64) error {
	o, err := codec.DecodeOutline(meta)
	v := versionID{e.Object, e.TS}
	if err != nil || o.Parts == 0 || c.b.dropped[v] || c.readable(v, o.Parts, maxChain) {
		return nil //nolint:nilerr // corrupt: dropUnreadable dropped it
	}
	id, err := c.b.r.identityOf(e.Object)
	if err != nil {
		return err
	}
	if o.Verb != history.Delete {
		c.b.drop(id.Resource, v)
		return nil
	}
	// A deletion is worth more than its JSON: without it, the object would seem
	// to exist.
	bare, err := codec.WithoutBody(meta)
	if err != nil {
		return err
	}
	e.Resource, e.Namespace, e.Verb = id.Resource, id.Namespace, byte(o.Verb)
	c.b.setMeta(e, bare, expires)
	c.b.report.Bare++
	c.b.changed[e.Object] = true
	c.b.addLoss(id.Resource, loss{e.TS, e.TS + 1, detailVersions})
	return nil
}

// readable reports whether the body of a version exists, and all bodies that it
// is a delta against. chain is the largest number of deltas.
func (c *deltaChains) readable(v versionID, parts uint16, chain int) bool {
	if intact, ok := c.known[v]; ok {
		return intact
	}
	stored, err := c.b.r.stored(v, parts)
	if err != nil {
		c.known[v] = false
		return false
	}
	body, err := codec.ParseBody(stored)
	intact := err == nil
	if intact && body.IsDelta() {
		base := &body.Base
		intact = chain > 0 && base.Ago > 0 && base.Ago <= v.ts &&
			c.readable(versionID{v.object - uint64(base.Object), v.ts - base.Ago}, base.Parts, chain-1)
	}
	c.known[v] = intact
	return intact
}
