// Package table reads and writes the database's table files beside the database, which takes a damaged file for one that ends early:
// its iterators pass over what they can't read, and its start ends the process.
//
// The invariant: whatever bytes a file has, reading it gives an error or what was written, by the checksums that the database
// writes; never a panic, and never more memory than a block and the table's index take. It reads with read(2), since a mapped
// file that is shorter than its mapping kills the process.
//
// A table is blocks, then their index, its length, its checksum and that one's length. A block holds entries, their offsets and
// number, its checksum and that one's length, and is compressed as a whole.
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

// ErrDamaged is what every error is that says that a file is not what was written.
var ErrDamaged = errors.New("damaged")

// damaged says in which way a file is not what was written.
type damaged string

// Error returns what is wrong.
func (d damaged) Error() string { return string(d) }

// Is tells that it is [ErrDamaged].
func (d damaged) Is(target error) bool { return target == ErrDamaged }

// maxBlock is the length in bytes of the largest block that is taken for one: far beyond what a value and its neighbours take.
const maxBlock = 16 << 20

// version is the length of the database's version, which ends every key in a table.
const version = 8

// Block is where a part of a table stands in the file.
type Block struct{ offset, size uint32 }

// Place returns where the block begins in the file and how many bytes it has there.
func (b Block) Place() (offset, size int64) { return int64(b.offset), int64(b.size) }

// Table is a table's file. It is for one goroutine.
type Table struct {
	Path   string
	Newest uint64   // of the database's versions in it
	Blocks []Block  // in the order of their keys
	First  [][]byte // the smallest key of each block, without the database's version; nil once the table is closed
	file   *os.File
	dec    *zstd.Decoder
	data   []byte
	whole  []byte
}

// Open opens a table, and reads its index and checks it. The caller closes the table.
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

// Reopen opens a closed table again, without reading its index again. The caller closes it once more.
func (t *Table) Reopen() (err error) {
	t.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return err
	}
	if t.file, err = os.Open(t.Path); err != nil {
		t.dec.Close()
		return err
	}
	return nil
}

// Close closes the file. Of the index only where the blocks are stays in memory: the rest is ten times as large.
func (t *Table) Close() error {
	t.dec.Close()
	t.First, t.data, t.whole = nil, nil, nil
	return t.file.Close()
}

// index reads the index, from the end of the file.
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
		return fmt.Errorf("its index: %w", err)
	}
	if err := t.decode(index, at); err != nil {
		return err
	}
	if len(t.Blocks) == 0 {
		return damaged("it has no blocks")
	}
	return nil
}

// decode decodes an index. The checksum has told already that it is what was written, unless that came out by chance: the
// decoder panics then.
func (t *Table) decode(index []byte, end int64) (err error) {
	defer func() {
		if recover() != nil {
			err = damaged("its index does not fit the file")
		}
	}()
	root := fb.GetRootAsTableIndex(index, 0)
	for i := range root.OffsetsLength() {
		var o fb.BlockOffset
		if !root.Offsets(&o, i) || len(o.KeyBytes()) < version || o.Len() > maxBlock || int64(o.Offset())+int64(o.Len()) > end {
			return damaged("its index does not fit the file")
		}
		k := o.KeyBytes()
		t.First = append(t.First, k[:len(k)-version])
		t.Blocks = append(t.Blocks, Block{o.Offset(), o.Len()})
	}
	t.Newest = root.MaxVersion()
	return nil
}

// before reads what stands before a position, with its length behind it, and tells where that begins.
func (t *Table) before(end int64) (b []byte, at int64, err error) {
	var length [4]byte
	if end < int64(len(length)) {
		return nil, 0, damaged("it is cut off")
	}
	if _, err := t.file.ReadAt(length[:], end-4); err != nil {
		return nil, 0, err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if at = end - 4 - n; at < 0 {
		return nil, 0, damaged("it is cut off")
	}
	b = make([]byte, n)
	_, err = t.file.ReadAt(b, at)
	return b, at, err
}

func check(data, sum []byte) error {
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil || len(sum) == 0 || want.GetAlgo() != pb.Checksum_CRC32C && want.GetAlgo() != pb.Checksum_XXHash64 {
		return damaged("it has no checksum")
	}
	if y.CalculateChecksum(data, want.GetAlgo()) != want.GetSum() {
		return damaged("its checksum does not match")
	}
	return nil
}

// Read reads a block and checks it. What it returns is valid until the next call.
func (t *Table) Read(i int) ([]byte, error) {
	b := t.Blocks[i]
	t.data = append(t.data[:0], make([]byte, b.size)...)
	if _, err := t.file.ReadAt(t.data, int64(b.offset)); err != nil {
		return nil, err
	}
	var err error
	if t.whole, err = t.decompress(); err != nil {
		return nil, damaged("a block can't be decompressed")
	}
	n := len(t.whole) - 4
	if n < 0 {
		return nil, damaged("a block is cut off")
	}
	sum := int(binary.BigEndian.Uint32(t.whole[n:]))
	if sum > n {
		return nil, damaged("a block is cut off")
	}
	return t.whole[:n-sum], check(t.whole[:n-sum], t.whole[n-sum:n])
}

// decompress decompresses what was read of a block: zstd or, where a tool changed the database by the defaults, Snappy.
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
