package table

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// Checked verifies the blocks of a table before each read. The first check of a
// block decompresses it and verifies its checksum. Later checks compare a hash
// of its bytes with the one of the first check. It is safe for concurrent use.
type Checked struct {
	path   string
	blocks []Block
	first  [][]byte

	decoders *Decoders
	buffers  sync.Pool // of *[]byte

	reading sync.RWMutex // guards file; Check holds it for reading
	file    *os.File     // nil: closed

	mu   sync.Mutex // guards sums
	sums []uint64   // hashes of the verified blocks, as stored; 0: not verified
}

// OpenChecked reads the index of a table and opens its file. Other tables may
// have the same decoders. The caller must call Close.
func OpenChecked(path string, decoders *Decoders) (*Checked, error) {
	t, err := Open(path)
	if err != nil {
		return nil, err
	}
	c := &Checked{
		path: path, blocks: t.Blocks, first: t.First, decoders: decoders, sums: make([]uint64, len(t.Blocks)),
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	c.file, err = os.Open(path)
	return c, err
}

// Close waits for running checks and closes the file. Later checks open it
// temporarily.
func (c *Checked) Close() error {
	c.reading.Lock()
	defer c.reading.Unlock()
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// Check verifies the blocks that may contain a key in [from, to). A nil to
// means no upper bound. The error is [ErrDamaged], or one of reading the file.
func (c *Checked) Check(from, to []byte) (err error) {
	begin := sort.Search(len(c.first), func(i int) bool { return bytes.Compare(c.first[i], from) >= 0 })
	raw, ok := c.buffers.Get().(*[]byte)
	if !ok {
		raw = new([]byte)
	}
	defer c.buffers.Put(raw)
	c.reading.RLock()
	defer c.reading.RUnlock()
	f := c.file
	if f == nil {
		if f, err = os.Open(c.path); err != nil {
			return err
		}
		defer f.Close()
	}
	// The block before begin may also contain from: its last key is unknown.
	for i := max(begin-1, 0); i < len(c.blocks) && (to == nil || bytes.Compare(c.first[i], to) < 0); i++ {
		if err := c.check(f, raw, i); err != nil {
			return err
		}
	}
	return nil
}

// check verifies one block. It reads the block into the buffer, and grows the
// buffer if necessary.
func (c *Checked) check(f *os.File, buffer *[]byte, i int) error {
	raw := slices.Grow((*buffer)[:0], int(c.blocks[i].size))[:c.blocks[i].size]
	*buffer = raw
	if _, err := f.ReadAt(raw, int64(c.blocks[i].offset)); err != nil {
		return err
	}
	sum := max(xxhash.Sum64(raw), 1)
	c.mu.Lock()
	before := c.sums[i]
	c.mu.Unlock()
	if before == sum {
		return nil
	}
	if err := c.decoders.verify(raw); err != nil {
		return err
	}
	c.mu.Lock()
	c.sums[i] = sum
	c.mu.Unlock()
	return nil
}

// Decoders are decoders of blocks that checked tables share: each has 300 KB of
// tables and buffers. The zero value is ready. It is safe for concurrent use.
type Decoders struct {
	tables sync.Pool // of *Table, without a file
}

// verify verifies a block as it is stored.
func (d *Decoders) verify(raw []byte) error {
	t, ok := d.tables.Get().(*Table)
	if !ok {
		dec, err := newDecoder()
		if err != nil {
			return err
		}
		t = &Table{dec: dec}
	}
	defer d.tables.Put(t)
	t.data = raw
	_, err := t.verify()
	t.data = nil // the caller's
	return err
}

// Gone reports whether an error means that the table's file does not exist, for
// example because the table was compacted.
func Gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
