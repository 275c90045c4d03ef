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

// maxChainRead is how many deltas led to a version before there were exemplars.
const maxChainRead = 31

// maxDecoded bounds the bodies that a reader keeps as bases of others, in bytes.
const maxDecoded = 4 << 20

// version is a version's place.
type version struct{ object, ts uint64 }

// decoded is a body and the JSON that it stands for. Nobody writes to it.
type decoded struct {
	body codec.Body
	json []byte
}

// decoding is a body that is decoded once, by the first one that needs it, while others wait. A base is older than what is a delta
// against it, so that nobody waits for himself.
type decoding struct {
	once sync.Once
	decoded
	err error
}

// decodings are the bodies that a reader keeps for others that are deltas against them. It is safe for concurrent use.
type decodings struct {
	mu   sync.Mutex // guards what follows
	of   map[version]*decoding
	size int // of their JSON, in bytes
}

func newDecodings() *decodings { return &decodings{of: map[version]*decoding{}} }

// at returns the decoding of a version, which may have to be done yet.
func (c *decodings) at(v version) *decoding {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.of[v]
	if !ok {
		d = &decoding{}
		c.of[v] = d
	}
	return d
}

// done makes room for what was decoded. What failed is forgotten: fewer deltas may lead to it from elsewhere.
func (c *decodings) done(v version, d *decoding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.err != nil {
		delete(c.of, v)
		return
	}
	if c.size += len(d.json); c.size > maxDecoded {
		clear(c.of)
		c.of[v], c.size = d, len(d.json)
	}
}

// body reads a version's body and checks it. What it returns belongs to the caller.
func (r *reader) body(e key.Entry, parts uint16) ([]byte, error) {
	if parts == 0 {
		return nil, nil
	}
	d, err := r.decoded(version{e.Object, e.TS}, parts, maxChainRead)
	if err == nil {
		err = d.body.Verify(d.json)
	}
	if err != nil {
		return nil, fmt.Errorf("body of object %d at %d: %w", e.Object, e.TS, err)
	}
	return bytes.Clone(d.json), nil
}

// decoded decodes the body of a version that at most so many deltas lead to. Only its length is checked: where the checksum of what is
// returned in the end is right, so were its bases.
func (r *reader) decoded(at version, parts uint16, chain int) (decoded, error) {
	l := links{r: r, of: at}
	defer l.close()
	return l.decoded(at, parts, chain)
}

func (l *links) decoded(at version, parts uint16, chain int) (decoded, error) {
	d := l.r.bodies.at(at)
	d.once.Do(func() {
		d.decoded, d.err = l.decode(at, parts, chain)
		l.r.bodies.done(at, d)
	})
	return d.decoded, d.err
}

func (l *links) decode(at version, parts uint16, chain int) (d decoded, err error) {
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
func (l *links) base(of version, base *codec.Base, chain int) ([]byte, error) {
	at := version{of.object - uint64(base.Object), of.ts - base.Ago}
	if chain == 0 || base.Ago == 0 || base.Ago > of.ts {
		return nil, fmt.Errorf("%w: a delta of too many", codec.ErrCorrupt)
	}
	d, err := l.decoded(at, base.Parts, chain-1)
	if err != nil {
		return nil, fmt.Errorf("base of object %d at %d: %w", at.object, at.ts, err)
	}
	return d.json, nil
}

// stored reads the bytes of a body.
func (r *reader) stored(at version, parts uint16) ([]byte, error) {
	e := key.Entry{Object: at.object, TS: at.ts}
	return r.joined(parts, func(part uint16) []byte {
		e.Part = part
		return e.In(key.Body)
	})
}

// joined reads the parts of a body under their keys.
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

// links reads the bodies that lead to one version, from that one back. Those of its object stand next to each other, mostly in one
// block, which the iterator holds on to: the cache takes a block only after a while, if at all, so that each Get would decompress it
// again. It is for one goroutine.
type links struct {
	r  *reader
	of version          // that they lead to
	it *badger.Iterator // of the bodies of the object's day, which all links are of; nil before the first one
}

func (l *links) close() {
	if l.it != nil {
		l.it.Close()
	}
}

// stored reads the bytes of a body.
func (l *links) stored(at version, parts uint16) ([]byte, error) {
	if at.object != l.of.object || parts != 1 {
		return l.r.stored(at, parts)
	}
	e := key.Entry{Class: key.Body, Object: at.object, TS: at.ts}
	k := e.Encode()
	if l.it == nil {
		l.it = l.r.txn.NewIterator(badger.IteratorOptions{Prefix: e.Prefix(key.Day(l.of.ts)), Reverse: true})
	} else if l.it.Valid() {
		l.it.Next()
	}
	if !l.on(k) {
		l.it.Seek(k)
	}
	if !l.on(k) {
		return nil, fmt.Errorf("read the body: %w", badger.ErrKeyNotFound)
	}
	return l.it.Item().ValueCopy(nil)
}

func (l *links) on(k []byte) bool { return l.it.Valid() && bytes.Equal(l.it.Item().Key(), k) }
