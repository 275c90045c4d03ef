package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxCachedBodies bounds the JSON that a reader caches as bases of deltas, in
// bytes.
const maxCachedBodies = 4 << 20

// versionID identifies a version.
type versionID struct{ object, ts uint64 }

// decoded is a body and its JSON, which is read-only.
type decoded struct {
	body codec.Body
	json []byte
}

// cachedBody is a body that is decoded once, by the first goroutine that needs
// it. Others wait. A delta's base is always older, so waiting for a base cannot
// deadlock.
type cachedBody struct {
	once sync.Once
	decoded
	err error
}

// bodyCache caches a reader's decoded bodies as bases of deltas. It is safe for
// concurrent use.
type bodyCache struct {
	mu   sync.Mutex
	of   map[versionID]*cachedBody
	size int // of all JSON in bytes
}

func newBodyCache() *bodyCache { return &bodyCache{of: map[versionID]*cachedBody{}} }

// at returns the entry of a version, which may not be decoded yet.
func (c *bodyCache) at(v versionID) *cachedBody {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.of[v]
	if !ok {
		d = &cachedBody{}
		c.of[v] = d
	}
	return d
}

// done accounts for a decoded body. If the cache is full, it evicts all others.
// A failed body is not cached, because it may succeed when it is the base of
// another version: the chain then has another limit.
func (c *bodyCache) done(v versionID, d *cachedBody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.err != nil {
		delete(c.of, v)
		return
	}
	if c.size += len(d.json); c.size > maxCachedBodies {
		clear(c.of)
		c.of[v], c.size = d, len(d.json)
	}
}

// body reads a version's body and verifies its checksum. The caller owns the
// result.
func (r *reader) body(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	d, err := r.decoded(versionID{e.Object, e.TS}, parts, maxChain)
	if err == nil {
		err = d.body.Verify(d.json)
	}
	if err != nil {
		return nil, fmt.Errorf("body of object %d at %d: %w", e.Object, e.TS, err)
	}
	return bytes.Clone(d.json), nil
}

// decoded decodes the body of a version, and the bases that it needs: at most
// chain of them. It verifies only lengths. If the checksum of the result is
// right, all bases were right too.
func (r *reader) decoded(at versionID, parts uint16, chain int) (decoded, error) {
	l := deltaChain{r: r, of: at}
	defer l.close()
	return l.decoded(at, parts, chain)
}

// deltaChain reads the bodies from one version back to its snapshot. It must be
// used by one goroutine.
//
// The bodies of one object are next to each other, mostly in the same block.
// The iterator keeps that block decompressed. Badger's cache may not contain
// it, so that each Get would decompress it again.
type deltaChain struct {
	r  *reader
	of versionID        // the version at the end of the chain
	it *badger.Iterator // over the object's bodies of the version's day; nil: not opened yet
}

func (l *deltaChain) close() {
	if l.it != nil {
		l.it.Close()
	}
}

// decoded decodes the body of a version of the chain, unless it is cached.
// chain is how many bases it may need.
func (l *deltaChain) decoded(at versionID, parts uint16, chain int) (decoded, error) {
	d := l.r.bodies.at(at)
	d.once.Do(func() {
		d.decoded, d.err = l.decode(at, parts, chain)
		l.r.bodies.done(at, d)
	})
	return d.decoded, d.err
}

// decode is decoded without the cache of its result. It recurses to the base.
func (l *deltaChain) decode(at versionID, parts uint16, chain int) (d decoded, err error) {
	b, err := l.stored(at, parts)
	if err != nil {
		return decoded{}, err
	}
	if d.body, err = codec.ParseBody(b); err != nil {
		return decoded{}, err
	}
	var base []byte
	if d.body.IsDelta() {
		if base, err = l.base(at, &d.body.Base, chain); err != nil {
			return decoded{}, err
		}
	}
	d.json, err = l.r.s.bodies.Decode(nil, &d.body, base)
	return d, err
}

// base decodes the base of a version's delta.
func (l *deltaChain) base(of versionID, base *codec.Base, chain int) ([]byte, error) {
	at := versionID{of.object - uint64(base.Object), of.ts - base.Ago}
	if chain == 0 {
		return nil, fmt.Errorf("%w: more than %d deltas", codec.ErrCorrupt, maxChain)
	}
	if base.Ago == 0 || base.Ago > of.ts {
		return nil, fmt.Errorf("%w: the base is not older than its delta", codec.ErrCorrupt)
	}
	d, err := l.decoded(at, base.Parts, chain-1)
	if err != nil {
		return nil, fmt.Errorf("base of object %d at %d: %w", at.object, at.ts, err)
	}
	return d.json, nil
}

// stored reads the bytes of a body. It uses the iterator for bodies of the
// chain's object that have one part, and Get for others.
func (l *deltaChain) stored(at versionID, parts uint16) ([]byte, error) {
	if at.object != l.of.object || parts != 1 {
		return l.r.stored(at, parts)
	}
	e := key.Entry{Class: key.Body, Object: at.object, TS: at.ts}
	k := e.Encode()
	if l.it == nil {
		l.it = l.r.txn.NewIterator(badger.IteratorOptions{Prefix: e.Prefix(key.Day(l.of.ts)), Reverse: true})
	} else if l.it.Valid() {
		l.it.Next() // mostly the version before
	}
	if !l.on(k) {
		l.it.Seek(k)
	}
	if !l.on(k) {
		return nil, fmt.Errorf("read the body: %w", badger.ErrKeyNotFound)
	}
	return l.it.Item().ValueCopy(nil)
}

// on reports whether the iterator is on a key.
func (l *deltaChain) on(k []byte) bool { return l.it.Valid() && bytes.Equal(l.it.Item().Key(), k) }

// stored reads the bytes of a body.
func (r *reader) stored(at versionID, parts uint16) ([]byte, error) {
	e := key.Entry{Object: at.object, TS: at.ts}
	return r.joined(parts, func(part uint16) []byte {
		e.Part = part
		return e.In(key.Body)
	})
}

// joined reads and joins the parts of a body. keyOf returns a part's key.
func (r *reader) joined(parts uint16, keyOf func(part uint16) []byte) (b []byte, err error) {
	for part := range parts {
		item, err := r.txn.Get(keyOf(part))
		if err == nil {
			err = item.Value(func(v []byte) error { b = append(b, v...); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
	}
	if len(b) == 0 {
		return nil, errors.New("read the body: it has no parts")
	}
	return b, nil
}
