package store

import (
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// maxPart is the length of the longest value in bytes. Bodies are split into
// parts of this length: Badger moves longer values to the value log, and a
// transaction takes at most 0.6 MB.
const maxPart = 256 << 10

// addRecord adds a version at the next time, with the next revision of its
// object.
func (w *batchTx) addRecord(r history.NewVersion, b body) error {
	ts, err := w.nextTime()
	if err != nil {
		return err
	}
	return w.addVersion(r, b, ts, 0)
}

// addVersion adds a version at a time that no other record has. A revision of 0
// means the next one. It writes:
//
//  1. the parts of the body. They may commit in an earlier transaction than the
//     rest, because nothing refers to them yet.
//  2. in one group: new dictionary entries, the metadata, the index entries,
//     and the object's head, identity and name.
//
// Once the group is committed, r.Time and r.Revision are set, and a snapshot
// becomes a reference snapshot.
func (w *batchTx) addVersion(r history.NewVersion, b body, ts, revision uint64) error {
	var g group
	o, err := w.findObject(&g, r.Record)
	if err != nil {
		return err
	}
	if revision > 0 && revision <= o.head.Revision {
		return history.Errorf(history.Invalid, "revision %d is not after revision %d", revision, o.head.Revision)
	}
	kind, err := w.numberOf(&g, term{key.Kinds, codec.Pair(r.Version, r.Kind)})
	if err != nil {
		return err
	}
	w.s.oldest.CompareAndSwap(noDay, uint32(key.Day(ts)))
	if o.head.Revision > 0 && !o.head.Alive {
		w.s.listings.revive(o.head.Object)
	}
	e := key.Entry{
		TS: ts, Object: o.head.Object, Resource: o.id.Resource, Namespace: o.id.Namespace, Verb: byte(r.Verb),
	}
	encoded, chain := w.encodeBody(r.Record, b, &o.head.Last, versionID{e.Object, ts})
	parts, err := w.addBody(e, encoded)
	if err != nil {
		return err
	}
	written := *r.Record
	if written.Revision = revision; revision == 0 {
		written.Revision = o.head.Revision + 1
	}
	phrases, err := w.phraseNumber(&g, ts)
	if err != nil {
		return err
	}
	m := codec.Meta{
		Kind: uint16(kind), Parts: parts,
		SameRelations: o.head.Relations == codec.Relations(r.Owners, r.Regarding),
	}
	meta := codec.AppendMeta(make([]byte, 0, 64), ts, &written, m, phrases)
	g.set(e.In(key.Record), meta, w.s.expiry(ts))
	w.addIndexEntries(&g, e, r.Record, meta)
	o.head.Last = codec.Last{TS: ts, Sum: b.sum, Parts: parts, Chain: chain}
	if err := w.addHead(&g, &o, &written, r.ManagedHashes, ts); err != nil {
		return err
	}
	if err := w.add(g); err != nil { // may commit the transaction before, without this version
		return err
	}
	w.complete = ts
	w.cacheHead(&r.Ref, o)
	w.done = append(w.done, func() {
		r.Time, r.Revision = moment(ts), written.Revision
		w.s.feed.note(r.Ref.Namespace, ts)
		if chain == 0 && parts > 0 {
			w.s.refSnapshots.add(r.Record, refSnapshot{versionID: versionID{e.Object, ts}, parts: parts})
		}
	})
	return nil
}

// addBody adds the parts of an encoded body and returns their number.
func (w *batchTx) addBody(e key.Entry, body []byte) (parts uint16, err error) {
	for part := range slices.Chunk(body, maxPart) {
		e.Part = parts
		var g group
		g.set(e.In(key.Body), part, w.s.expiry(e.TS))
		if err := w.add(g); err != nil {
			return 0, fmt.Errorf("body: %w", err)
		}
		parts++
	}
	return parts, nil
}

// addIndexEntries adds a version's entries to each index. Entries with metadata
// share the bytes of meta.
func (w *batchTx) addIndexEntries(g *group, e key.Entry, r *history.Record, meta []byte) {
	expires := w.s.expiry(e.TS)
	var keys [][]byte
	for i := range versionIndexes {
		x := &versionIndexes[i]
		value := meta
		if !x.metadata {
			value = nil
		}
		keys = x.appendKeys(keys[:0], e, r, 0)
		for _, k := range keys {
			g.set(k, value, expires)
		}
	}
}

// Limits of the cache of heads: usually about 2 MB, at most 8 MB.
const (
	maxCachedHeads    = 4096
	maxCachedManagers = 64 // managed entries of an object
)

// objectHead is the state of an object that the committer needs to add the next
// version.
type objectHead struct {
	key  []byte // of the head
	head codec.Head
	id   codec.Identity
}

// findObject returns the head of a version's object. An object without a head
// gets a number, and the relations of its first version; addHead writes its
// head and identity. For other objects the relations of the identity stay
// unset, since only its encoding is written again.
func (w *batchTx) findObject(g *group, r *history.Record) (objectHead, error) {
	ref := &r.Ref
	o, found := w.heads[*ref]
	if w.heads == nil {
		o, found = w.s.headCache.get(*ref)
	}
	if found {
		return o, nil
	}
	resource, err := w.numberOf(g, term{key.Resources, codec.Pair(ref.Group, ref.Resource)})
	if err != nil {
		return objectHead{}, err
	}
	var namespace uint32
	if ref.Namespace != "" {
		if namespace, err = w.numberOf(g, term{key.Namespaces, ref.Namespace}); err != nil {
			return objectHead{}, err
		}
	}
	o = newObjectHead(uint16(resource), namespace, ref)
	if w.heads == nil {
		if found, err = o.read(w.txn); found || err != nil {
			return o, err
		}
	}
	w.state.Object++
	o.head.Object = w.state.Object
	o.id.Owners, o.id.Regarding, o.id.Relations = r.Owners, r.Regarding, codec.Relations(r.Owners, r.Regarding)
	o.id.Created = seconds(rawjson.CreationTime(r.Object))
	o.head.Relations = o.id.Relations
	return o, nil
}

// newObjectHead returns the key of an object's head and its identity without
// relations. The head is empty.
func newObjectHead(resource uint16, namespace uint32, ref *history.ObjectRef) objectHead {
	return objectHead{
		key: key.Head(resource, namespace, ref.Name, string(ref.UID)),
		id:  codec.Identity{Resource: resource, Namespace: namespace, Name: ref.Name, UID: ref.UID},
	}
}

// read reads the head, and reports whether there is one.
func (o *objectHead) read(txn *badger.Txn) (found bool, err error) {
	b, err := get(txn, o.key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err == nil {
		o.head, err = codec.DecodeHead(b)
	}
	if err != nil {
		return false, fmt.Errorf("read the head: %w", err)
	}
	return true, nil
}

// readHeads returns the heads of the objects of which the log has versions. It
// verifies the blocks that it reads. It returns the cached heads too, because
// the batch may evict them from the cache before it needs them. The caller
// holds commitMu, and has called checkTerms.
func (s *Store) readHeads(
	txn *badger.Txn, records []history.NewVersion,
) (map[history.ObjectRef]objectHead, error) {
	heads, uncached := make(map[history.ObjectRef]objectHead, len(records)), map[history.ObjectRef]objectHead{}
	var blocks []keyrange.Range
	for _, r := range records {
		if o, cached := s.headCache.get(r.Ref); cached {
			heads[r.Ref] = o
			continue
		}
		if _, again := uncached[r.Ref]; again {
			continue
		}
		resource, err := s.terms.number(txn, resourceTerm(r.Ref.GroupResource()))
		namespace := uint32(0)
		if err == nil && r.Ref.Namespace != "" {
			namespace, err = s.terms.number(txn, term{key.Namespaces, r.Ref.Namespace})
		}
		if err != nil {
			return nil, err
		}
		if resource == 0 || namespace == 0 && r.Ref.Namespace != "" {
			continue // a new object
		}
		o := newObjectHead(uint16(resource), namespace, &r.Ref)
		uncached[r.Ref] = o
		blocks = append(blocks, keyrange.Single(o.key))
	}
	if err := s.integrity.check(blocks...); err != nil {
		return nil, err
	}
	for ref, o := range uncached {
		found, err := o.read(txn)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		if found {
			heads[ref] = o
		}
	}
	return heads, nil
}

// checkIdentities verifies the blocks of the identities that the records need:
// those of deleted objects and of objects that come back.
func (s *Store) checkIdentities(records []history.NewVersion, heads map[history.ObjectRef]objectHead) error {
	var blocks []keyrange.Range
	for _, r := range records {
		if o, found := heads[r.Ref]; found && (r.Verb == history.Delete || !o.head.Alive) {
			blocks = append(blocks, keyrange.Single(key.Identity(o.head.Object)))
		}
	}
	return s.integrity.check(blocks...)
}

// addHead moves an object's head to the version r at time ts, with the hashes
// of its managed entries.
//
// The identity and the name are written with the object's first version and
// don't expire. When the object is deleted, head, identity and name are written
// again with the expiry of that deletion. If the object is created again, they
// are written again without an expiry.
func (w *batchTx) addHead(g *group, o *objectHead, r *history.Record, managedHashes []uint64, ts uint64) error {
	alive := r.Verb != history.Delete
	var expires uint64
	if !alive {
		expires = w.s.expiry(ts)
	}
	if o.head.Revision == 0 || alive != o.head.Alive || !alive {
		id, err := w.encodedIdentity(o)
		if err != nil {
			return err
		}
		g.set(key.Identity(o.head.Object), id, expires)
		g.set(key.Name(o.id.Name, o.id.Resource, o.id.Namespace, o.head.Object), nil, expires)
	}
	o.head.Revision, o.head.Alive, o.head.RV = r.Revision, alive, r.RV
	o.head.ManagedHashes = slices.Clone(managedHashes)
	g.set(o.key, o.head.Encode(), expires)
	return nil
}

// cacheHead caches an object's head for its next version. Deleted objects, and
// objects with more than maxCachedManagers managed entries, are evicted.
//
// The cache may hold heads that are not committed yet. That is safe because the
// log is read-only after a commit fails.
func (w *batchTx) cacheHead(ref *history.ObjectRef, o objectHead) {
	o.id.Owners, o.id.Regarding = nil, nil // only written with the first version
	if w.heads != nil {
		w.heads[*ref] = o
	}
	if !o.head.Alive || len(o.head.ManagedHashes) > maxCachedManagers {
		w.s.headCache.remove(*ref)
		return
	}
	w.s.headCache.put(*ref, o)
}

// encodedIdentity returns the value of an object's identity. The identity of an
// existing object never changes, because the metadata of its versions refers to
// it.
func (w *batchTx) encodedIdentity(o *objectHead) ([]byte, error) {
	if o.head.Revision == 0 {
		return o.id.Encode(), nil
	}
	b, err := get(w.txn, key.Identity(o.head.Object))
	if err != nil {
		return nil, fmt.Errorf("read the identity of object %d: %w", o.head.Object, err)
	}
	return b, nil
}
