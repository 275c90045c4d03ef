// Package table reads and writes Badger's table files without Badger. Badger
// treats a damaged file as one that ends early: its iterators skip what they
// can't read, and opening can end the process.
//
// Invariant: for any bytes in a file, reading returns what was written, as the
// checksums prove, or an error. It never panics. It never allocates more memory
// than a block and the table's index need. It uses read(2), since accessing a
// memory-mapped file beyond its end kills the process.
//
// A table consists of blocks, the index, the index's length, the index's
// checksum, and the checksum's length. A block consists of entries, their
// offsets and their number, a checksum, and the checksum's length. The whole
// block is compressed.
package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"
)

// ErrDamaged matches every error of a file that differs from what was written.
var ErrDamaged = errors.New("damaged")

// damaged describes in which way a file differs from what was written.
type damaged string

// Error returns the description.
func (d damaged) Error() string { return string(d) }

// Is reports whether target is [ErrDamaged].
func (d damaged) Is(target error) bool { return target == ErrDamaged }

// maxBlock is the length in bytes of the largest valid block. Real blocks are
// much shorter: they contain a value and its neighbors.
const maxBlock = 16 << 20

// version is the length in bytes of Badger's version, which ends every key in a
// table.
const version = 8

// Block is the position of a block in the file.
type Block struct{ offset, size uint32 }

// Place returns the block's offset and length in the file, in bytes.
func (b Block) Place() (offset, size int64) { return int64(b.offset), int64(b.size) }

// Table is an open table. It is not safe for concurrent use.
type Table struct {
	Path   string
	Newest uint64   // the newest of Badger's versions
	Blocks []Block  // sorted by key
	First  [][]byte // the smallest key of each block, without Badger's version; nil after Close
	file   *os.File
	dec    *zstd.Decoder
	data   []byte // the compressed block, reused
	whole  []byte // the decompressed block, reused
}

// Open opens a table and verifies its index. The caller must call
// [Table.Close].
func Open(path string) (*Table, error) {
	t := &Table{Path: path}
	if err := t.Reopen(); err != nil {
		return nil, err
	}
	if err := t.index(); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Reopen opens a closed table without reading its index. The caller must call
// [Table.Close] again.
func (t *Table) Reopen() (err error) {
	if t.dec, err = newDecoder(); err != nil {
		return err
	}
	if t.file, err = os.Open(t.Path); err != nil {
		t.dec.Close()
		return err
	}
	return nil
}

// newDecoder returns a decoder of blocks.
func newDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlock))
}

// Close closes the file. The positions of the blocks remain in memory, and
// their keys, which take ten times as much, do not.
func (t *Table) Close() error {
	t.dec.Close()
	t.First, t.data, t.whole = nil, nil, nil
	return t.file.Close()
}

// index reads and verifies the index at the end of the file.
func (t *Table) index() error {
	st, err := t.file.Stat()
	if err != nil {
		return err
	}
	sum, at, err := t.before(st.Size())
	if err != nil {
		return err
	}
	index, at, err := t.before(at)
	if err != nil {
		return err
	}
	if err := check(index, sum); err != nil {
		return fmt.Errorf("index: %w", err)
	}
	if err := t.decode(index, at); err != nil {
		return err
	}
	if len(t.Blocks) == 0 {
		return damaged("no blocks")
	}
	return nil
}

// decode decodes an index that has a valid checksum. If the checksum matches by
// chance, the decoder panics, and decode returns an error.
func (t *Table) decode(index []byte, end int64) (err error) {
	defer func() {
		if recover() != nil {
			err = damaged("the index does not match the file")
		}
	}()
	root := fb.GetRootAsTableIndex(index, 0)
	for i := range root.OffsetsLength() {
		var o fb.BlockOffset
		if !root.Offsets(&o, i) || len(o.KeyBytes()) < version || o.Len() > maxBlock ||
			int64(o.Offset())+int64(o.Len()) > end {
			return damaged("the index does not match the file")
		}
		k := o.KeyBytes()
		t.First = append(t.First, k[:len(k)-version])
		t.Blocks = append(t.Blocks, Block{o.Offset(), o.Len()})
	}
	t.Newest = root.MaxVersion()
	return nil
}

// before reads a part that ends with its length at an offset. It returns the
// part and its own offset.
func (t *Table) before(end int64) (b []byte, at int64, err error) {
	var length [4]byte
	if end < int64(len(length)) {
		return nil, 0, damaged("truncated")
	}
	if _, err := t.file.ReadAt(length[:], end-4); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if at = end - 4 - n; at < 0 {
		return nil, 0, damaged("truncated")
	}
	b = make([]byte, n)
	_, err = t.file.ReadAt(b, at)
	return b, at, err
}

// check compares data with an encoded checksum.
func check(data, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil || len(sum) == 0 ||
		want.GetAlgo() != pb.Checksum_CRC32C && want.GetAlgo() != pb.Checksum_XXHash64 {
		return damaged("no checksum")
	}
	if y.CalculateChecksum(data, want.GetAlgo()) != want.GetSum() {
		return damaged("checksum mismatch")
	}
	return nil
}

// Read reads and verifies a block. The result is the entries with their offsets
// and their number. It is valid until the next call, and invalid if Read
// returns an error.
func (t *Table) Read(i int) ([]byte, error) {
	b := t.Blocks[i]
	t.data = append(t.data[:0], make([]byte, b.size)...)
	if _, err := t.file.ReadAt(t.data, int64(b.offset)); err != nil {
		return nil, err
	}
	return t.verify()
}

// verify verifies the block that was read, and returns what Read returns.
func (t *Table) verify() (entries []byte, err error) {
	if t.whole, err = t.decompress(); err != nil {
		return nil, damaged("invalid compressed data")
	}
	n := len(t.whole) - 4
	if n < 0 {
		return nil, damaged("truncated block")
	}
	sum := int(binary.BigEndian.Uint32(t.whole[n:]))
	if sum > n {
		return nil, damaged("truncated block")
	}
	return t.whole[:n-sum], check(t.whole[:n-sum], t.whole[n-sum:n])
}

// decompress decompresses the block that was read. Badger writes zstd. A tool
// that opens the database with default options writes Snappy.
func (t *Table) decompress() ([]byte, error) {
	var h zstd.Header
	if h.Decode(t.data) == nil {
		return t.dec.DecodeAll(t.data, t.whole[:0])
	}
	if n, err := s2.DecodedLen(t.data); err != nil || n > maxBlock {
		return nil, ErrDamaged
	}
	return s2.Decode(t.whole[:cap(t.whole)], t.data)
}
