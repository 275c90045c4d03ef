package table

import (
	"encoding/binary"
	"iter"
	"math"
)

// Entry is a key of a table with its value. Its memory is valid until the next
// iteration.
type Entry struct {
	Key       []byte // without Badger's version
	Version   uint64 // Badger's
	Meta      byte   // Badger's flags, such as a deletion
	UserMeta  byte
	ExpiresAt uint64 // in seconds since 1970; 0: never
	Value     []byte
}

// header is the length in bytes of an entry's head. It has two numbers: how
// many bytes the key shares with the block's first key, and how many follow.
const header = 4

// Entries reads and verifies a block, and yields its entries in ascending order
// of their keys. It yields an error with a zero entry, and then ends.
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

// block is a parsed block: the bytes of the entries, and their offsets.
type block struct{ data, offsets []byte }

// errMalformed is the error of a block whose checksum is right, but whose
// entries can't be decoded.
var errMalformed = damaged("malformed block")

// parse finds the entries of a verified block.
func parse(b []byte) (block, error) {
	n := len(b) - 4
	if n < 4 {
		return block{}, errMalformed
	}
	count := int(binary.BigEndian.Uint32(b[n:]))
	if at := n - 4*count; count > 0 && count <= n/4 && at >= header {
		return block{b[:at], b[at:n]}, nil
	}
	return block{}, errMalformed
}

// count returns the number of entries.
func (b block) count() int { return len(b.offsets) / 4 }

// offset returns the position of an entry. That of the entry after the last one
// is the end.
func (b block) offset(i int) int {
	if i == b.count() {
		return len(b.data)
	}
	return int(binary.LittleEndian.Uint32(b.offsets[4*i:]))
}

// key returns the key of an entry, with Badger's version, and the position of
// its value.
func (b block) key(i int) (k []byte, from, to int, err error) {
	at, end := b.offset(i), b.offset(i+1)
	if at > end-header || end > len(b.data) {
		return nil, 0, 0, errMalformed
	}
	shared, own := int(binary.LittleEndian.Uint16(b.data[at:])), int(binary.LittleEndian.Uint16(b.data[at+2:]))
	if shared > len(b.data)-header || own > end-header-at || shared+own < version {
		return nil, 0, 0, errMalformed
	}
	k = append(append(make([]byte, 0, shared+own), b.data[header:header+shared]...), b.data[at+header:at+header+own]...)
	return k, at + header + own, end, nil
}

// entry decodes an entry. After the key come Badger's flags, the user's flags,
// the expiry and the value.
func (b block) entry(i int) (e Entry, err error) {
	k, from, to, err := b.key(i)
	if err != nil {
		return e, err
	}
	v := b.data[from:to]
	if len(v) < 3 {
		return e, errMalformed
	}
	e.Meta, e.UserMeta = v[0], v[1]
	expires, n := binary.Uvarint(v[2:])
	if n <= 0 {
		return e, errMalformed
	}
	e.ExpiresAt, e.Value = expires, v[2+n:]
	e.Key, e.Version = k[:len(k)-version], math.MaxUint64-binary.BigEndian.Uint64(k[len(k)-version:])
	return e, nil
}

// Last returns the largest key, without Badger's version. It reads the last
// block.
func (t *Table) Last() ([]byte, error) { return t.lastOf(len(t.Blocks) - 1) }

// lastOf returns the largest key of a block, without Badger's version.
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
