package store

import (
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxPart is the length in bytes of the longest value. Badger keeps longer ones than that in another file, and no
// transaction takes more than 0.5 MB, so that bodies are cut.
const maxPart = 256 << 10

// record adds a version: its body's parts, then in one group its metadata, its index entries and its object's head. The
// parts may come to stand in an earlier transaction, where nothing refers to them yet.
func (w *writer) record(r *history.Record, b body) error {
	ts, err := w.tick()
	if err != nil {
		return err
	}
	return w.at(r, b, ts, 0)
}

// at adds a version of a time, which must be that of no other, with a revision or, where that is 0, the next one.
func (w *writer) at(r *history.Record, b body, ts, revision uint64) error {
	var g group
	o, err := w.object(&g, r)
	if err != nil {
		return err
	}
	if revision > 0 && revision <= o.head.Revision {
		return history.Errorf(history.Invalid, "revision %d does not come after %d", revision, o.head.Revision)
	}
	kind, err := w.number(&g, term{key.Kinds, codec.Pair(r.Version, r.Kind)})
	if err != nil {
		return err
	}
	w.s.oldest.CompareAndSwap(noDay, uint32(key.Day(ts)))
	e := key.Entry{
		TS: ts, Object: o.head.Object, Resource: o.id.Resource, Namespace: o.id.Namespace, Verb: byte(r.Verb),
	}
	encoded, chain := w.encoded(r, b, &o.head.Last, version{e.Object, ts})
	parts, err := w.body(e, encoded)
	if err != nil {
		return err
	}
	written := *r
	if written.Revision = revision; revision == 0 {
		written.Revision = o.head.Revision + 1
	}
	phrases, err := w.phrases(&g, ts)
	if err != nil {
		return err
	}
	m := codec.Meta{Kind: uint16(kind), Parts: parts, Same: o.head.Relations == codec.Relations(r.Owners, r.Regarding)}
	meta := codec.AppendMeta(make([]byte, 0, 64), ts, &written, m, phrases)
	g.set(e.In(key.Record), meta, w.s.expiry(ts))
	w.indexes(&g, e, r, meta)
	o.head.Last = codec.Last{TS: ts, Sum: b.sum, Parts: parts, Chain: chain}
	if err := w.head(&g, &o, &written, ts); err != nil {
		return err
	}
	if err := w.add(g); err != nil {
		return err
	}
	w.met(&r.Ref, o)
	w.done = append(w.done, func() {
		r.Time, r.Revision = moment(ts), written.Revision
		if chain == 0 && parts > 0 {
			w.s.exemplars.hold(r, exemplar{version: version{e.Object, ts}, parts: parts})
		}
	})
	return nil
}

// body adds the parts of a body and returns their number.
func (w *writer) body(e key.Entry, body []byte) (uint16, error) {
	var n uint16
	for part := range slices.Chunk(body, maxPart) {
		e.Part = n
		var g group
		g.set(e.In(key.Body), part, w.s.expiry(e.TS))
		if err := w.add(g); err != nil {
			return 0, fmt.Errorf("body: %w", err)
		}
		n++
	}
	return n, nil
}

// indexes adds the version's index entries. Those by time, which pages are read from, have the metadata as well: next to that of
// what happened before and after.
func (w *writer) indexes(g *group, e key.Entry, r *history.Record, meta []byte) {
	expires := w.s.expiry(e.TS)
	g.set(e.In(key.ByTime), meta, expires)
	g.set(e.In(key.ByResource), meta, expires)
	g.set(e.In(key.ByNamespace), meta, expires)
	if r.Regarding != nil {
		e.Hash = targetHash(r.Regarding)
		g.set(e.In(key.ByTarget), nil, expires)
	}
	for _, uid := range r.Owners {
		e.Hash = key.Sum(string(uid))
		g.set(e.In(key.ByOwner), nil, expires)
	}
}

// targetHash leaves the UID out: not every Event gives one, and a filter need not either.
func targetHash(t *history.Target) key.Hash { return key.Sum(t.Kind, t.Namespace, t.Name) }

// What the committer remembers of objects: about 2 MB, and 8 at the most.
const (
	maxObjects = 4096
	maxWriters = 64 // of one object
)

// object is what is kept once an object.
type object struct {
	key  []byte // of the head
	head codec.Head
	id   codec.Identity
}

// object finds the object that a version belongs to. One that has no head yet gets a number.
func (w *writer) object(g *group, r *history.Record) (object, error) {
	ref := &r.Ref
	if o, ok := w.s.objects.get(*ref); ok {
		return o, nil
	}
	resource, err := w.number(g, term{key.Resources, codec.Pair(ref.Group, ref.Resource)})
	if err != nil {
		return object{}, err
	}
	var namespace uint32
	if ref.Namespace != "" {
		if namespace, err = w.number(g, term{key.Namespaces, ref.Namespace}); err != nil {
			return object{}, err
		}
	}
	o := object{
		key: key.Head(uint16(resource), namespace, ref.Name, string(ref.UID)),
		id:  codec.Identity{Resource: uint16(resource), Namespace: namespace, Name: ref.Name, UID: ref.UID},
	}
	b, err := get(w.txn, o.key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		w.state.Object++
		o.head.Object = w.state.Object
		o.id.Owners, o.id.Regarding, o.id.Relations = r.Owners, r.Regarding, codec.Relations(r.Owners, r.Regarding)
		o.head.Relations = o.id.Relations
		return o, nil
	}
	if err != nil {
		return object{}, fmt.Errorf("read the head: %w", err)
	}
	o.head, err = codec.DecodeHead(b)
	return o, err
}

// head moves an object's head on. What is kept once an object is written when it comes to life and, with an expiry no
// earlier than that of its last version, when it is deleted.
func (w *writer) head(g *group, o *object, r *history.Record, ts uint64) error {
	alive := r.Verb != history.Delete
	var expires uint64
	if !alive {
		expires = w.s.expiry(ts)
	}
	if o.head.Revision == 0 || alive != o.head.Alive || !alive {
		id, err := w.identity(o)
		if err != nil {
			return err
		}
		g.set(key.Identity(o.head.Object), id, expires)
		g.set(key.Name(o.id.Name, o.id.Resource, o.id.Namespace, o.head.Object), nil, expires)
	}
	o.head.Revision, o.head.Alive, o.head.RV, o.head.ManagedHashes = r.Revision, alive, r.RV, slices.Clone(r.ManagedHashes)
	g.set(o.key, o.head.Encode(), expires)
	return nil
}

// met remembers an object for its next version, unless it is large. What is kept of one that is deleted may be removed, or expire. A writer that fails is
// the log's last one, so that nothing is remembered that is not committed.
func (w *writer) met(ref *history.ObjectRef, o object) {
	if !o.head.Alive || len(o.head.ManagedHashes) > maxWriters {
		w.s.objects.forget(*ref)
		return
	}
	o.id.Owners, o.id.Regarding = nil, nil // which only its first version writes
	w.s.objects.put(*ref, o)
}

// identity returns an object's identity, which stays what it was when the object was met first: versions refer to it.
func (w *writer) identity(o *object) ([]byte, error) {
	if o.head.Revision == 0 {
		return o.id.Encode(), nil
	}
	b, err := get(w.txn, key.Identity(o.head.Object))
	if err != nil {
		return nil, fmt.Errorf("read the identity of object %d: %w", o.head.Object, err)
	}
	return b, nil
}
