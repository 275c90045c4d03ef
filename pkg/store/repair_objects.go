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
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// restoreIdentities restores the identities that are lost from the JSON of the objects' versions.
func (b *rebuild) restoreIdentities() error {
	if !b.lost.touches(key.Identities()) {
		return nil
	}
	missing, err := b.unidentified()
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

// unidentified returns the objects that have versions and no identity, each with its versions in order.
func (b *rebuild) unidentified() (map[uint64][]hit, error) {
	missing, known := map[uint64][]hit{}, map[uint64]bool{}
	add := func(h hit) error {
		if known[h.Object] {
			return nil
		}
		if _, found := missing[h.Object]; !found {
			there, err := b.is(key.Identity(h.Object))
			if err != nil || there {
				known[h.Object] = there
				return err
			}
		}
		missing[h.Object] = append(missing[h.Object], h)
		return nil
	}
	if err := b.carried(add); err != nil {
		return nil, err
	}
	return missing, b.days(func(day uint16) error {
		return b.entries(day, key.ByTime, func(e key.Entry, _ *badger.Item) error { return add(hit{Entry: e}) })
	})
}

// carried calls f for the versions that were carried on, whose resources and namespaces the index of names tells.
func (b *rebuild) carried(f func(hit) error) error {
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
	return b.each(key.StandingOf(0)[:2], func(item *badger.Item) error {
		object, ts, err := key.DecodeStanding(item.Key())
		e, named := places[object]
		if err != nil || !named {
			return nil //nolint:nilerr // dropStanding drops it
		}
		e.TS = ts
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		return f(hit{Entry: e, meta: meta, carried: true})
	})
}

// described is what an object's JSON says about its identity.
type described struct {
	Metadata struct {
		Name, Namespace, UID string
		OwnerReferences      []struct{ UID types.UID }
	}
	InvolvedObject *reference `json:"involvedObject"`
	Regarding      *reference `json:"regarding"`
}

type reference struct {
	APIVersion            string `json:"apiVersion"`
	Kind, Namespace, Name string
	UID                   types.UID
}

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

// identify restores an object's identity, if the JSON of one of its versions can be read. Whether it is the object's is told by
// its head or its entry in the index of names, which have hashes of it.
func (b *rebuild) identify(object uint64, versions []hit) error {
	var id *codec.Identity
	var expires uint64
	for _, e := range versions {
		d, found := b.describe(e)
		if !found {
			continue
		}
		one := codec.Identity{
			Resource: e.Resource, Namespace: e.Namespace, Name: d.Metadata.Name, UID: types.UID(d.Metadata.UID),
		}
		head, at, err := b.headOf(object, &one)
		if err != nil {
			return err
		}
		if head == nil && !b.mayBe(object, &one) {
			continue
		}
		if id == nil {
			id, expires = &one, at
		}
		b.relate(&one, d)
		if head != nil && head.Relations == one.Relations {
			id = &one
			break
		}
	}
	if id == nil {
		return nil // dropUnknown drops its versions
	}
	_, err := b.restore(key.Identity(object), id.Encode(), expires)
	return err
}

func (b *rebuild) relate(id *codec.Identity, d described) {
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

func (b *rebuild) groupResource(n uint16) (r schema.GroupResource) {
	if text, err := b.r.s.terms.text(b.r.txn, index{key.Resources, uint32(n)}); err == nil {
		r.Group, r.Resource, _ = codec.SplitPair(text)
	}
	return r
}

// describe reads the JSON of a version.
func (b *rebuild) describe(h hit) (d described, found bool) {
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
	body, err := b.r.whole(h, o.Parts)
	if err != nil || len(body) == 0 || json.Unmarshal(body, &d) != nil {
		return d, false
	}
	return d, d.Metadata.Name != ""
}

// headOf returns the head of an object of an identity, and when it expires; nil if there is none.
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
		return nil, 0, nil //nolint:nilerr // it is of another one
	}
	return &head, item.ExpiresAt(), nil
}

// mayBe reports whether an identity without a head may be an object's: the index of names has it, or that is lost as well as the
// head.
func (b *rebuild) mayBe(object uint64, id *codec.Identity) bool {
	name := key.Name(id.Name, id.Resource, id.Namespace, object)
	if there, err := b.is(name); err != nil || there {
		return there
	}
	return b.lost.contains(name) && b.lost.contains(key.Head(id.Resource, id.Namespace, id.Name, string(id.UID)))
}

// restoreNames restores the index of names from the identities.
func (b *rebuild) restoreNames() error {
	if !b.lost.touches(key.Names("")[:1]) {
		return nil
	}
	return b.identities(func(object uint64, id *codec.Identity, item *badger.Item) error {
		_, err := b.restore(key.Name(id.Name, id.Resource, id.Namespace, object), nil, item.ExpiresAt())
		return err
	})
}

func (b *rebuild) identities(f func(object uint64, id *codec.Identity, item *badger.Item) error) error {
	return b.each(key.Identities(), func(item *badger.Item) error {
		object, err := key.DecodeIdentity(item.Key())
		if err != nil {
			return nil //nolint:nilerr // nothing refers to it
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		id, err := codec.DecodeIdentity(value)
		if err != nil {
			return nil //nolint:nilerr // its versions are dropped
		}
		return f(object, &id, item)
	})
}

// settleHeads brings heads in line with the versions that are left. A head that is lost is that of the newest version. Where the newest
// version is lost, the head's revision stays, so that none is given twice, and what the object is now is to be asked for. An object of
// which nothing is left is forgotten.
func (b *rebuild) settleHeads() error {
	expected := map[string]bool{}
	err := b.identities(func(object uint64, id *codec.Identity, item *badger.Item) error {
		k := key.Head(id.Resource, id.Namespace, id.Name, string(id.UID))
		expected[string(k)], expected[string(key.Name(id.Name, id.Resource, id.Namespace, object))] = true, true
		lost := b.lost.contains(k)
		if gone, err := b.newestGone(object, id); err != nil || !lost && !gone && !b.objects[object] {
			return err
		}
		return b.settleHead(k, object, id, lost)
	})
	if err != nil || !b.lost.touches(key.Heads(0)[:1]) && !b.lost.touches(key.Identities()) && !b.lost.touches(key.Names("")[:1]) {
		return err
	}
	for _, prefix := range [][]byte{key.Heads(0)[:1], key.Names("")[:1]} {
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

// newestGone reports whether the version that an object's head names is lost without another trace.
func (b *rebuild) newestGone(object uint64, id *codec.Identity) (bool, error) {
	if len(b.unknown[id.Resource]) == 0 {
		return false, nil
	}
	head, _, err := b.headOf(object, id)
	if err != nil || head == nil || head.Last.TS < key.Start(b.r.floor) || head.Last.TS == 0 {
		return false, err
	}
	e := key.Entry{Object: object, TS: head.Last.TS}
	there, err := b.is(e.In(key.Record))
	if err == nil && !there {
		b.drop(id.Resource, version{object, head.Last.TS})
	}
	return !there, err
}

func (b *rebuild) settleHead(k []byte, object uint64, id *codec.Identity, lost bool) error {
	before, expires, err := b.headOf(object, id)
	if err != nil {
		return err
	}
	newest, found, err := b.newestOf(object)
	if err != nil {
		return err
	}
	if !found {
		return b.forget(k, object, id)
	}
	o, err := codec.DecodeOutline(newest.meta)
	if err != nil {
		return errors.Join(err, b.forget(k, object, id))
	}
	if before != nil && !lost && (before.Last.TS == newest.TS || !before.Alive) {
		if before.Last.TS != newest.TS || before.Last.Parts != o.Parts {
			b.untold = b.untold || !before.Alive && o.Verb != history.Delete
			before.Last = codec.Last{}
			b.set(k, before.Encode(), expires)
		}
		return nil
	}
	rec, _, err := b.r.record(newest.Entry, newest.meta)
	if err != nil {
		return errors.Join(err, b.forget(k, object, id))
	}
	head := codec.Head{Object: object, Revision: rec.Revision, RV: rec.RV, Alive: rec.Verb != history.Delete, Relations: id.Relations}
	if before != nil {
		head.Revision = max(head.Revision, before.Revision)
	}
	if expires = 0; !head.Alive {
		expires = b.r.s.expiry(newest.TS)
	}
	b.set(k, head.Encode(), expires)
	b.report.Restored++
	if head.Alive {
		b.relist[id.Resource] = true
	}
	return nil
}

// forget removes what there is once an object.
func (b *rebuild) forget(head []byte, object uint64, id *codec.Identity) error {
	for _, k := range [][]byte{head, key.Identity(object), key.Name(id.Name, id.Resource, id.Namespace, object)} {
		b.remove(k)
	}
	b.relist[id.Resource] = true
	b.report.Forgotten++
	return nil
}

// newestOf returns the newest version of an object that is left, be it one that was carried on.
func (b *rebuild) newestOf(object uint64) (newest hit, found bool, err error) {
	e := key.Entry{Class: key.Record, Object: object}
	err = b.days(func(day uint16) error {
		k, meta, err := b.r.newest(e.Prefix(day), key.MaxTS)
		if err != nil || k == nil {
			return err
		}
		found, newest = true, hit{meta: bytes.Clone(meta)}
		newest.Entry, err = key.Decode(k)
		return err
	})
	if err != nil || found {
		return newest, found, err
	}
	return b.r.carried(object)
}

// nextOf returns the time of the first version of an object behind one that is lost; 0 if there is none.
func (b *rebuild) nextOf(v version) (ts uint64, err error) {
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
