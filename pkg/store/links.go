package store

import (
	"bytes"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

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
