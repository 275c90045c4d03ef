package table

import (
	"encoding/binary"
	"iter"
	"math"
)

// Entry is a key of a table with its value. Its bytes are valid until the iteration goes on.
type Entry struct {
	Key       []byte // without the database's version
	Version   uint64 // of the database
	Meta      byte   // what the database keeps of how the entry was committed
	UserMeta  byte
	ExpiresAt uint64 // in seconds since 1970; 0: never
	Value     []byte
}

// header is the length of what an entry begins with: how many bytes of its key are those of the block's first key, and how
// many follow.
const header = 4

// Entries reads a block, checks it, and yields its entries in the order of their keys. After an error, which comes with a zero
// entry, it ends.
func (t *Table) Entries(i int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		b, err := t.Read(i)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		blk, err := parse(b)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for n := range blk.count() {
			e, err := blk.entry(n)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// block is a block taken apart: the entries' bytes, and where each begins.
type block struct{ data, offsets []byte }

var errMisfit = damaged("a block does not fit itself")

func parse(b []byte) (block, error) {
	n := len(b) - 4
	if n < 4 {
		return block{}, errMisfit
	}
	count := int(binary.BigEndian.Uint32(b[n:]))
	if at := n - 4*count; count > 0 && count <= n/4 && at >= header {
		return block{b[:at], b[at:n]}, nil
	}
	return block{}, errMisfit
}

func (b block) count() int { return len(b.offsets) / 4 }

func (b block) offset(i int) int {
	if i == b.count() {
		return len(b.data)
	}
	return int(binary.LittleEndian.Uint32(b.offsets[4*i:]))
}

// key returns the key of an entry with the database's version behind it, and where its value is.
func (b block) key(i int) (k []byte, from, to int, err error) {
	at, end := b.offset(i), b.offset(i+1)
	if at > end-header || end > len(b.data) {
		return nil, 0, 0, errMisfit
	}
	shared, own := int(binary.LittleEndian.Uint16(b.data[at:])), int(binary.LittleEndian.Uint16(b.data[at+2:]))
	if shared > len(b.data)-header || own > end-header-at || shared+own < version {
		return nil, 0, 0, errMisfit
	}
	k = append(append(make([]byte, 0, shared+own), b.data[header:header+shared]...), b.data[at+header:at+header+own]...)
	return k, at + header + own, end, nil
}

func (b block) entry(i int) (e Entry, err error) {
	k, from, to, err := b.key(i)
	if err != nil {
		return e, err
	}
	v := b.data[from:to]
	if len(v) < 3 {
		return e, errMisfit
	}
	e.Meta, e.UserMeta = v[0], v[1]
	expires, n := binary.Uvarint(v[2:])
	if n <= 0 {
		return e, errMisfit
	}
	e.ExpiresAt, e.Value = expires, v[2+n:]
	e.Key, e.Version = k[:len(k)-version], math.MaxUint64-binary.BigEndian.Uint64(k[len(k)-version:])
	return e, nil
}

// Last returns the largest key, without the database's version. For that it reads the last block.
func (t *Table) Last() ([]byte, error) { return t.lastOf(len(t.Blocks) - 1) }

// lastOf returns the largest key of a block, without the database's version.
func (t *Table) lastOf(i int) ([]byte, error) {
	b, err := t.Read(i)
	if err != nil {
		return nil, err
	}
	blk, err := parse(b)
	if err != nil {
		return nil, err
	}
	k, _, _, err := blk.key(blk.count() - 1)
	if err != nil {
		return nil, err
	}
	return k[:len(k)-version], nil
}
