package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// term is a text of one of the dictionaries.
type term struct {
	of   key.Dictionary
	text string
}

// index is the number of a text of one of the dictionaries.
type index struct {
	of     key.Dictionary
	number uint32
}

// dictionary remembers texts and their numbers, which never change. It holds only what is committed.
type dictionary struct {
	check func(k []byte) error // that a key is not missing because its block is damaged

	mu      sync.RWMutex
	numbers map[term]uint32
	texts   map[index]string
}

func newDictionary(check func(k []byte) error) *dictionary {
	return &dictionary{numbers: map[term]uint32{}, texts: map[index]string{}, check: check}
}

// number returns a text's number, and 0 where it has none. The transaction must have written no terms itself.
func (d *dictionary) number(txn *badger.Txn, t term) (uint32, error) {
	d.mu.RLock()
	n, ok := d.numbers[t]
	d.mu.RUnlock()
	if ok {
		return n, nil
	}
	b, err := get(txn, key.Text(t.of, t.text))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, d.check(key.Text(t.of, t.text))
	}
	if err != nil {
		return 0, fmt.Errorf("look up a number: %w", err)
	}
	if len(b) != 4 {
		return 0, fmt.Errorf("number of %q: %w", t.text, codec.ErrCorrupt)
	}
	n = binary.BigEndian.Uint32(b)
	d.learn(t, n)
	return n, nil
}

// text returns what a number stands for. That it stands for nothing is an error.
func (d *dictionary) text(txn *badger.Txn, i index) (string, error) {
	d.mu.RLock()
	text, ok := d.texts[i]
	d.mu.RUnlock()
	if ok {
		return text, nil
	}
	b, err := get(txn, key.Number(i.of, i.number))
	if err != nil {
		return "", fmt.Errorf("look up number %d of dictionary %c: %w", i.number, i.of, err)
	}
	d.learn(term{i.of, string(b)}, i.number)
	return string(b), nil
}

func (d *dictionary) learn(t term, n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.numbers[t] = n
	d.texts[index{t.of, n}] = t.text
}
