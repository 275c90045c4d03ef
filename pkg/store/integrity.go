package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// integrity verifies the tables of an open log. Badger treats a block that it
// can't read as the end of the table. Iterators skip the rest without an error,
// and a compaction drops it permanently.
//
// So a reader verifies the blocks of a range before it uses what it read from
// the range. Verifying a block again compares only a hash of its bytes. In
// addition a goroutine reads the tables that existed when the log was opened,
// newest first, to find damage before Badger compacts it. It does so once the
// log is open; until then, damage is an error of the opening.
//
// Its methods are safe for concurrent use. The caller must keep the database
// open.
type integrity struct {
	db       *badger.DB // nil: all tables are known to be intact
	dir      string
	onDamage func(*badgerdir.DamageError) // must not block
	unread   badgerdir.Tables             // the tables that start verifies
	stop     chan struct{}                // closed to stop the goroutine
	stopped  chan struct{}                // closed unless the goroutine is running

	checked  *boundedCache[uint64, *table.Checked] // tables that were read recently, by number
	decoders table.Decoders                        // of the checked tables

	mu     sync.Mutex
	levels uint64 // the fingerprint of the levels when tables was read; guarded by mu
	tables levelTables
}

// tableCheck is a table with the bounds of its keys.
type tableCheck struct {
	id          uint64
	first, last []byte
}

// levelTables are the tables of each level. Those of all levels but level 0 are
// sorted by key.
type levelTables [][]tableCheck

// maxCheckedTables bounds how many tables have their index cached, about 2 MB
// in total, and their file open.
const maxCheckedTables = 128

// newIntegrity returns the integrity of an open log. tables are those that
// existed before Badger opened them; it takes ownership of them. The caller
// must call close.
func newIntegrity(db *badger.DB, tables badgerdir.Tables, onDamage func(*badgerdir.DamageError)) *integrity {
	c := intactTables()
	c.db, c.dir, c.unread, c.onDamage = db, db.Opts().Dir, tables, onDamage
	c.checked = newBoundedCache[uint64, *table.Checked](maxCheckedTables)
	c.checked.onEvict = func(t *table.Checked) { _ = t.Close() } // the file was only read
	return c
}

// intactTables returns an integrity for tables that were verified completely,
// or whose damage the caller reports itself. Its checks do nothing.
func intactTables() *integrity {
	c := &integrity{stop: make(chan struct{}), stopped: make(chan struct{})}
	close(c.stopped)
	return c
}

// start starts the goroutine that reads the tables. It must be called at most
// once, before close.
func (c *integrity) start() {
	c.stopped = make(chan struct{})
	go c.readAll(c.unread)
}

// readAll reads the tables that were not verified completely before the
// database was opened.
func (c *integrity) readAll(tables badgerdir.Tables) {
	defer close(c.stopped)
	var ids []uint64
	for id, t := range tables {
		if t.Blocks != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	for _, id := range ids {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := c.readTable(tables[id]); err != nil {
			c.onDamage(err)
		}
		delete(tables, id)
	}
}

// readTable verifies a table. It ignores a table that Badger has compacted
// since: its file is empty or removed.
func (c *integrity) readTable(t *table.Table) *badgerdir.DamageError {
	if err := badgerdir.ReadBlocks(t, c.stop); err != nil {
		return c.damage(t.Path, err)
	}
	return nil
}

// damage returns the error of a damaged table. It returns nil if the table was
// compacted since, or if the error is not caused by the file.
func (c *integrity) damage(path string, err error) *badgerdir.DamageError {
	if badgerdir.IsFileError(err) {
		return badgerdir.DamagedTable(c.db, path, err)
	}
	return nil
}

// check verifies the blocks of all tables that may contain a key of one of the
// ranges. It reports damage to onDamage, and returns it.
func (c *integrity) check(ranges ...keyrange.Range) error {
	if c.db == nil || len(ranges) == 0 {
		return nil
	}
	for level, tables := range c.currentTables() {
		for _, r := range ranges {
			for _, t := range overlapping(tables, r, level == 0) {
				if err := c.checkTable(t.id, r); err != nil {
					c.onDamage(err)
					return err
				}
			}
		}
	}
	return nil
}

// checkTable verifies the blocks of a table that may contain a key of a range.
// A table whose file is gone was compacted, and is not damaged.
func (c *integrity) checkTable(id uint64, r keyrange.Range) *badgerdir.DamageError {
	t, cached := c.checked.get(id)
	var err error
	if !cached {
		if t, err = table.OpenChecked(badgerdir.TablePath(c.dir, id), &c.decoders); err == nil {
			c.checked.put(id, t)
		}
	}
	if err == nil {
		err = t.Check(r.From, r.To)
	}
	if err != nil && !table.Gone(err) {
		return c.damage(badgerdir.TablePath(c.dir, id), err)
	}
	return nil
}

// currentTables returns the tables of the database. It reads them only if the
// sizes of the levels changed since the last call. The caller must not modify
// the result.
func (c *integrity) currentTables() levelTables {
	// Read before the tables: if they change in between, the fingerprint is
	// outdated, and the next call reads them again.
	levels := levelsOf(c.db)
	c.mu.Lock()
	defer c.mu.Unlock()
	if levels == c.levels {
		return c.tables
	}
	current := levelTables{}
	for _, t := range c.db.Tables() {
		for len(current) <= t.Level {
			current = append(current, nil)
		}
		current[t.Level] = append(current[t.Level], tableCheck{t.ID, badgerdir.KeyOf(t.Left), badgerdir.KeyOf(t.Right)})
	}
	for _, tables := range current[min(1, len(current)):] {
		slices.SortFunc(tables, func(a, b tableCheck) int { return bytes.Compare(a.first, b.first) })
	}
	c.levels, c.tables = levels, current
	c.checked.retain(func(id uint64) bool {
		return slices.ContainsFunc(current, func(level []tableCheck) bool {
			return slices.ContainsFunc(level, func(t tableCheck) bool { return t.id == id })
		})
	})
	return current
}

// levelsOf returns a fingerprint of the sizes of a database's levels. It
// changes whenever tables are added or removed.
func levelsOf(db *badger.DB) uint64 {
	var b []byte
	for _, l := range db.Levels() {
		b = binary.LittleEndian.AppendUint64(b, uint64(l.NumTables))
		b = binary.LittleEndian.AppendUint64(b, uint64(l.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(l.StaleDatSize))
	}
	return codec.Sum(b)
}

// overlapping returns the tables of a level that may contain a key of a range.
// level0 means that the tables are not sorted.
func overlapping(tables []tableCheck, r keyrange.Range, level0 bool) []tableCheck {
	overlaps := func(t tableCheck) bool { return bytes.Compare(t.last, r.From) >= 0 && keyrange.Before(t.first, r.To) }
	if level0 {
		return slices.DeleteFunc(slices.Clone(tables), func(t tableCheck) bool { return !overlaps(t) })
	}
	begin := sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].last, r.From) >= 0 })
	end := begin
	for end < len(tables) && overlaps(tables[end]) {
		end++
	}
	return tables[begin:end]
}

// checkKey verifies the blocks that may contain a key.
func (c *integrity) checkKey(k []byte) error { return c.check(keyrange.Single(k)) }

// checkPrefix verifies the blocks that may contain a key with a prefix.
func (c *integrity) checkPrefix(prefix []byte) error { return c.check(keyrange.Prefix(prefix)) }

// close stops the goroutine and closes all files. It must be called once.
func (c *integrity) close() {
	close(c.stop)
	<-c.stopped
	if c.checked != nil {
		c.checked.retain(func(uint64) bool { return false })
	}
}
