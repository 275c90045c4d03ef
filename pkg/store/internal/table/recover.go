package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
)

// Recover opens a table whose index can't be read. It finds the blocks by their
// zstd frames, and verifies their checksums. It reads the whole file into
// memory.
//
// holes are the numbers of the blocks before which others may be missing. The
// number of blocks means that some may be missing at the end. A table without a
// readable block is an [ErrDamaged] error. The caller must call [Table.Close].
func Recover(path string) (t *Table, holes []int, err error) {
	file, err := readAround(path)
	if err != nil {
		return nil, nil, err
	}
	t = &Table{Path: path}
	if err := t.Reopen(); err != nil {
		return nil, nil, err
	}
	end := 0
	// The magic can also occur by chance within a block. So the search
	// continues after the magic if the frame is not a valid block.
	for at := bytes.Index(file, []byte(magic)); at >= 0; {
		size := frameSize(file[at:])
		b := Block{uint32(at), uint32(size)}
		first, newest, ok := t.probe(b)
		if ok {
			if at != end {
				holes = append(holes, len(t.Blocks))
			}
			t.Blocks, t.First, t.Newest = append(t.Blocks, b), append(t.First, first), max(t.Newest, newest)
			end = at + size
		}
		from := max(at+1, end)
		if at = bytes.Index(file[from:], []byte(magic)); at >= 0 {
			at += from
		}
	}
	if len(t.Blocks) == 0 {
		return nil, nil, errors.Join(damaged("no block can be read"), t.Close())
	}
	if end != indexStart(file) {
		holes = append(holes, len(t.Blocks))
	}
	return t, holes, nil
}

// readAround reads a file. Sectors that the disk can't read are zeros.
func readAround(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	const sector = 4096
	b := make([]byte, st.Size())
	for at := 0; at < len(b); at += sector {
		part := b[at:min(at+sector, len(b))]
		if _, err := f.ReadAt(part, int64(at)); err != nil {
			clear(part)
		}
	}
	return b, nil
}

// magic is the beginning of a zstd frame.
const magic = "\x28\xb5\x2f\xfd"

// probe tries to read a block. It returns the first key and the newest of
// Badger's versions in it.
func (t *Table) probe(b Block) (first []byte, newest uint64, ok bool) {
	if b.size == 0 || b.size > maxBlock {
		return nil, 0, false
	}
	one := &Table{Path: t.Path, Blocks: []Block{b}, file: t.file, dec: t.dec}
	for e, err := range one.Entries(0) {
		if err != nil {
			return nil, 0, false
		}
		if first == nil {
			first = e.Key
		}
		newest = max(newest, e.Version)
	}
	return first, newest, first != nil
}

// frameSize returns the length of the zstd frame at the beginning of b. It
// follows the headers of the frame and its blocks. It returns 0 if there is no
// frame.
func frameSize(b []byte) int {
	const fixed = 5 // length of the magic and the descriptor
	if len(b) < fixed {
		return 0
	}
	descriptor := b[4]
	single := descriptor>>5&1 == 1
	at := fixed + [4]int{0, 1, 2, 4}[descriptor&3] + [4]int{0, 2, 4, 8}[descriptor>>6]
	if !single || descriptor>>6 == 0 { // the window's size, or the content's size in one byte
		at++
	}
	for {
		if at+3 > len(b) {
			return 0
		}
		h := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		size := h >> 3
		switch h >> 1 & 3 {
		case 1: // a repeated byte
			size = 1
		case 3: // reserved
			return 0
		}
		at += 3 + size
		if h&1 == 1 {
			break
		}
	}
	if descriptor>>2&1 == 1 {
		at += 4
	}
	if at > len(b) {
		return 0
	}
	return at
}

// indexStart returns the offset of a table's index, according to the lengths at
// the end of the file. It returns -1 if they are invalid.
func indexStart(file []byte) int {
	end := len(file)
	for range 2 {
		if end < 4 {
			return -1
		}
		end -= 4 + int(binary.BigEndian.Uint32(file[end-4:]))
	}
	return end
}
