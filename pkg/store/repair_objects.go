package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// restoreIdentities restores lost identities from the JSON of the objects'
// versions. The oldest objects come first.
func (b *rebuild) restoreIdentities() error {
	if !b.lost.Overlaps(key.Identities()) {
		return nil
	}
	missing, err := b.missingIdentities()
	if err != nil {
		return err
	}
	for _, object := range slices.Sorted(maps.Keys(missing)) {
		if err := b.identify(object, missing[object]); err != nil {
			return err
		}
	}
	return nil
}

// missingIdentities returns the versions of the objects that have no identity,
// in ascending order of their times.
func (b *rebuild) missingIdentities() (map[uint64][]indexHit, error) {
	missing, known := map[uint64][]indexHit{}, map[uint64]bool{}
	add := func(h indexHit) error {
		if known[h.Object] { // it has an identity
			return nil
		}
		if _, found := missing[h.Object]; !found {
			there, err := b.exists(key.Identity(h.Object))
			if err != nil || there {
				known[h.Object] = there
				return err
			}
		}
		missing[h.Object] = append(missing[h.Object], h)
		return nil
	}
	if err := b.eachBaseline(add); err != nil {
		return nil, err
	}
	return missing, b.days(func(day uint16) error {
		return b.entries(day, key.ByTime, func(e key.Entry, _ *badger.Item) error { return add(indexHit{Entry: e}) })
	})
}

// eachBaseline calls f for the baselines. It gets their resources and
// namespaces from the index of names.
func (b *rebuild) eachBaseline(f func(indexHit) error) error {
	places := map[uint64]key.Entry{}
	err := b.each(key.Names("")[:1], func(item *badger.Item) error {
		if resource, namespace, object, err := key.DecodeName(item.Key()); err == nil {
			places[object] = key.Entry{Object: object, Resource: resource, Namespace: namespace}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.each(key.AllBaselines(), func(item *badger.Item) error {
		object, ts, err := key.DecodeBaseline(item.Key())
		e, named := places[object]
		if err != nil || !named {
			return nil //nolint:nilerr // dropBaselines drops it
		}
		e.TS = ts
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return f(indexHit{Entry: e, meta: meta, baseline: true})
	})
}

// bodyIdentity is the part of an object's JSON that determines its identity.
type bodyIdentity struct {
	Metadata struct {
		Name, Namespace, UID string
		OwnerReferences      []struct{ UID types.UID }
	}
	InvolvedObject *reference `json:"involvedObject"`
	Regarding      *reference `json:"regarding"`

	created int64 // in seconds since 1970; 0 if it is unknown
}

// reference is the target of an Event in its JSON.
type reference struct {
	APIVersion            string `json:"apiVersion"`
	Kind, Namespace, Name string
	UID                   types.UID
}

// target returns nil if there is no reference.
func (r *reference) target() *history.Target {
	if r == nil || r.Kind == "" {
		return nil
	}
	t := &history.Target{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: r.UID}
	if gv, err := schema.ParseGroupVersion(r.APIVersion); err == nil {
		t.Group = gv.Group
	}
	return t
}

// identify restores an object's identity from the JSON of one of its versions.
// The object's head, or its entry in the index of names, contains a hash of the
// identity and confirms it.
//
// Owners can change between versions. The head has the checksum of the
// identity's relations, so a version with these relations is preferred.
// Otherwise it is the first version that is confirmed.
func (b *rebuild) identify(object uint64, versions []indexHit) error {
	var id *codec.Identity
	var expires uint64
	for _, e := range versions {
		d, found := b.readIdentity(e)
		if !found {
			continue
		}
		one := codec.Identity{
			Resource: e.Resource, Namespace: e.Namespace, Name: d.Metadata.Name, UID: types.UID(d.Metadata.UID),
			Created: d.created,
		}
		head, at, err := b.headOf(object, &one)
		if err != nil {
			return err
		}
		if head == nil && !b.mayHave(object, &one) {
			continue
		}
		if id == nil {
			id, expires = &one, at
		}
		b.setRelations(&one, d)
		if head != nil && head.Relations == one.Relations {
			id = &one
			break
		}
	}
	if id == nil {
		return nil // dropUnreadable drops the versions
	}
	_, err := b.restore(key.Identity(object), id.Encode(), expires)
	return err
}

// setRelations sets the owners and the target of an identity.
func (b *rebuild) setRelations(id *codec.Identity, d bodyIdentity) {
	for _, o := range d.Metadata.OwnerReferences {
		id.Owners = append(id.Owners, o.UID)
	}
	if events := history.IsEventResource(b.groupResource(id.Resource)); events && d.InvolvedObject != nil {
		id.Regarding = d.InvolvedObject.target()
	} else if events {
		id.Regarding = d.Regarding.target()
	}
	id.Relations = codec.Relations(id.Owners, id.Regarding)
}

// groupResource returns the resource with a number. It is empty if it is
// unknown.
func (b *rebuild) groupResource(n uint16) (r schema.GroupResource) {
	if text, err := b.r.s.terms.text(b.r.txn, termNumber{key.Resources, uint32(n)}); err == nil {
		r.Group, r.Resource, _ = codec.SplitPair(text)
	}
	return r
}

// readIdentity reads the parts of an identity from the JSON of a version. found
// is false if the JSON can't be read or has no name.
func (b *rebuild) readIdentity(h indexHit) (d bodyIdentity, found bool) {
	if h.meta == nil {
		var err error
		if h.meta, err = get(b.r.txn, h.In(key.Record)); err != nil {
			return d, false
		}
	}
	o, err := codec.DecodeOutline(h.meta)
	if err != nil {
		return d, false
	}
	body, err := b.r.hitBody(h, o.Parts)
	if err != nil || len(body) == 0 || json.Unmarshal(body, &d) != nil {
		return d, false
	}
	d.created = seconds(rawjson.CreationTime(body))
	return d, d.Metadata.Name != ""
}

// headOf returns the head of an object with an identity, and its expiry. It
// returns nil if there is none.
func (b *rebuild) headOf(object uint64, id *codec.Identity) (*codec.Head, uint64, error) {
	item, err := b.r.txn.Get(key.Head(id.Resource, id.Namespace, id.Name, string(id.UID)))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	value, err := item.ValueCopy(nil)
	if err != nil {
		return nil, 0, err
	}
	head, err := codec.DecodeHead(value)
	if err != nil || head.Object != object {
		return nil, 0, nil //nolint:nilerr // the head of another object
	}
	return &head, item.ExpiresAt(), nil
}

// mayHave reports whether an object without a head may have an identity. That
// is so if the index of names contains it, or if both that entry and the head
// are lost.
func (b *rebuild) mayHave(object uint64, id *codec.Identity) bool {
	name := key.Name(id.Name, id.Resource, id.Namespace, object)
	if there, err := b.exists(name); err != nil || there {
		return there
	}
	return b.lost.Contains(name) && b.lost.Contains(key.Head(id.Resource, id.Namespace, id.Name, string(id.UID)))
}

// restoreNames restores the index of names from the identities.
func (b *rebuild) restoreNames() error {
	if !b.lost.Overlaps(key.Names("")[:1]) {
		return nil
	}
	return b.identities(func(object uint64, id *codec.Identity, item *badger.Item) error {
		_, err := b.restore(key.Name(id.Name, id.Resource, id.Namespace, object), nil, item.ExpiresAt())
		return err
	})
}

// identities calls f for each identity that can be decoded.
func (b *rebuild) identities(f func(object uint64, id *codec.Identity, item *badger.Item) error) error {
	return b.each(key.Identities(), func(item *badger.Item) error {
		object, err := key.DecodeIdentity(item.Key())
		if err != nil {
			return nil //nolint:nilerr // no other key refers to it
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		id, err := codec.DecodeIdentity(value)
		if err != nil {
			return nil //nolint:nilerr // dropUnreadable drops the versions
		}
		return f(object, &id, item)
	})
}

// reconcileHeads makes heads consistent with the remaining versions. A lost
// head is restored from the newest version. If the newest version is lost, the
// head keeps its revision, so that no revision is assigned twice, and the
// resource is listed again. An object without versions is removed.
func (b *rebuild) reconcileHeads() error {
	expected := map[string]bool{}
	err := b.identities(func(object uint64, id *codec.Identity, item *badger.Item) error {
		k := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
		expected[string(k)], expected[string(key.Name(id.Name, id.Resource, id.Namespace, object))] = true, true
		lost := b.lost.Contains(k)
		if gone, err := b.newestLost(object, id); err != nil || !lost && !gone && !b.changed[object] {
			return err
		}
		return b.reconcileHead(k, object, id, lost)
	})
	if err != nil || !b.lost.Overlaps(key.AllHeads()) && !b.lost.Overlaps(key.Identities()) &&
		!b.lost.Overlaps(key.Names("")[:1]) {
		return err
	}
	// Heads and names without an identity belong to no known object.
	for _, prefix := range [][]byte{key.AllHeads(), key.Names("")[:1]} {
		err := b.each(prefix, func(item *badger.Item) error {
			if !expected[string(item.Key())] {
				b.remove(item.KeyCopy(nil))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// newestLost reports whether the version that an object's head names is lost
// without another trace. It drops that version. That is possible only for
// resources of which versions may be lost without a trace; see findUnknown.
func (b *rebuild) newestLost(object uint64, id *codec.Identity) (bool, error) {
	if len(b.unknown[id.Resource]) == 0 {
		return false, nil
	}
	head, _, err := b.headOf(object, id)
	if err != nil || head == nil || head.Last.TS < key.Start(b.r.floorDay) || head.Last.TS == 0 {
		return false, err
	}
	e := key.Entry{Object: object, TS: head.Last.TS}
	there, err := b.exists(e.In(key.Record))
	if err == nil && !there {
		b.drop(id.Resource, versionID{object, head.Last.TS})
	}
	return !there, err
}

// reconcileHead makes the head of one object consistent. k is the key of the
// head, and lost reports whether it is in a lost range.
func (b *rebuild) reconcileHead(k []byte, object uint64, id *codec.Identity, lost bool) error {
	before, expires, err := b.headOf(object, id)
	if err != nil {
		return err
	}
	newest, found, err := b.newestOf(object)
	if err != nil {
		return err
	}
	if !found {
		return b.forgetObject(k, object, id)
	}
	o, err := codec.DecodeOutline(newest.meta)
	if err != nil {
		return errors.Join(err, b.forgetObject(k, object, id))
	}
	// The head is not outdated. If its version or that version's body is lost,
	// nothing may be a delta against it.
	if before != nil && !lost && (before.Last.TS == newest.TS || !before.Alive) {
		if before.Last.TS != newest.TS || before.Last.Parts != o.Parts {
			b.deletionPending = b.deletionPending || !before.Alive && o.Verb != history.Delete
			before.Last = codec.Last{}
			b.set(k, before.Encode(), expires)
		}
		return nil
	}
	rec, _, err := b.r.record(newest.Entry, newest.meta)
	if err != nil {
		return errors.Join(err, b.forgetObject(k, object, id))
	}
	// Last stays zero, so the next version is not a delta against this one.
	head := codec.Head{
		Object: object, Revision: rec.Revision, RV: rec.RV, Alive: rec.Verb != history.Delete, Relations: id.Relations,
	}
	if before != nil {
		head.Revision = max(head.Revision, before.Revision)
	}
	if expires = 0; !head.Alive {
		expires = b.r.s.expiry(newest.TS)
	}
	b.set(k, head.Encode(), expires)
	b.report.Restored++
	if head.Alive { // the lost head may have been newer, even a deletion
		b.relist[id.Resource] = true
	}
	return nil
}

// forgetObject removes the head, the identity and the name of an object. If the
// object still exists, the relist records it as a new one.
func (b *rebuild) forgetObject(head []byte, object uint64, id *codec.Identity) error {
	for _, k := range [][]byte{head, key.Identity(object), key.Name(id.Name, id.Resource, id.Namespace, object)} {
		b.remove(k)
	}
	b.relist[id.Resource] = true
	b.report.Forgotten++
	return nil
}

// newestOf returns the newest remaining version of an object, which may be a
// baseline.
func (b *rebuild) newestOf(object uint64) (newest indexHit, found bool, err error) {
	e := key.Entry{Class: key.Record, Object: object}
	err = b.days(func(day uint16) error {
		k, meta, err := b.r.newestBefore(e.Prefix(day), key.MaxTS)
		if err != nil || k == nil {
			return err
		}
		found, newest = true, indexHit{meta: bytes.Clone(meta)}
		newest.Entry, err = key.Decode(k)
		return err
	})
	if err != nil || found {
		return newest, found, err
	}
	return b.r.storedBaseline(object)
}

// nextOf returns the time of an object's first remaining version after a lost
// one, or 0 if there is none.
func (b *rebuild) nextOf(v versionID) (ts uint64, err error) {
	e := key.Entry{Class: key.Record, Object: v.object}
	err = b.days(func(day uint16) error {
		if ts != 0 || day < key.Day(v.ts) {
			return nil
		}
		it := b.r.txn.NewIterator(badger.IteratorOptions{Prefix: e.Prefix(day)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if found, err := key.Decode(it.Item().Key()); err == nil && found.TS > v.ts {
				ts = found.TS
				return nil
			}
		}
		return nil
	})
	return ts, err
}
