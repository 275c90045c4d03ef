package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// soundness checks the tables of an open log. Badger passes over a block that it can't read as if that were the end of its table: what
// comes after it is not there then, without an error, and when Badger compacts the table, for good.
//
// So whoever reads a range of keys has the blocks checked that may hold some of them, each time: a block that is read often is compared
// with what it was when it was checked first. And the tables that were there when the log was opened are read once in the background,
// the newest first, so that a damaged one is found before it is compacted.
type soundness struct {
	db    *badger.DB // nil: all that is read was checked before
	dir   string
	found func(*damageError) // told of damage; it must not wait
	stop  chan struct{}      // closed to end reading in the background
	ended chan struct{}      // closed when that has ended

	checked *bounded[uint64, *table.Checked] // indexes of tables that were read lately

	mu     sync.Mutex // guards what follows
	state  uint64     // of the levels when ranges were taken
	ranges tableRanges
}

// tableRange is a table with the keys that it may hold.
type tableRange struct {
	id          uint64
	first, last []byte
}

// tableRanges are the tables of each level. Below the first one, they are in the order of their keys.
type tableRanges [][]tableRange

// maxChecked bounds how many tables have their index cached, about 2 MB in total,
// and their file open.
const maxChecked = 128

// damageError is the error of a damaged file of a directory's database: for whoever opens that, [history.Invalid].
type damageError struct {
	path    string
	problem error
	code    history.Code
}

// Error names the file and the command that repairs it.
func (d *damageError) Error() string {
	return fmt.Sprintf(
		"the database in %s is damaged (%s: %v): run watchhistory-recorder repair, restore a backup, or set storagePath (BADGER_PATH) to another directory",
		filepath.Dir(d.path), filepath.Base(d.path), d.problem)
}

// Unwrap returns the error with its code.
func (d *damageError) Unwrap() error { return &history.Error{Code: d.code, Message: d.Error()} }

func damaged(code history.Code, path string, err error) *damageError {
	return &damageError{path, err, code}
}

// vet begins to check the tables of an open log. tables are those that were there before Badger opened them.
func vet(db *badger.DB, tables indexes, found func(*damageError)) *soundness {
	s := &soundness{
		db: db, dir: db.Opts().Dir, found: found, stop: make(chan struct{}), ended: make(chan struct{}),
		checked: newBounded[uint64, *table.Checked](maxChecked),
	}
	s.checked.drop = func(c *table.Checked) { _ = c.Close() } // what was read only
	go s.readAll(tables)
	return s
}

// wholeTables returns what is known of tables that were all read before.
func wholeTables() *soundness {
	s := &soundness{stop: make(chan struct{}), ended: make(chan struct{})}
	close(s.ended)
	return s
}

// readAll reads the tables that were not read as a whole yet.
func (s *soundness) readAll(tables indexes) {
	defer close(s.ended)
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
		case <-s.stop:
			return
		default:
		}
		if err := s.read(tables[id]); err != nil {
			s.found(err)
		}
		delete(tables, id)
	}
}

// read reads all blocks of a table but the last, which was read before Badger read it. A table that Badger has compacted meanwhile is
// empty or gone.
func (s *soundness) read(t *table.Table) *damageError {
	err := t.Reopen()
	if err == nil {
		for i := 0; err == nil && i < len(t.Blocks)-1; i++ {
			_, err = t.Read(i)
		}
		err = errors.Join(err, t.Close())
	}
	if err != nil && ofTheFile(err) && has(s.db, t.Path) {
		return damaged(history.Unavailable, t.Path, err)
	}
	return nil
}

// check checks the blocks that may hold a key of one of the ranges, in all tables.
func (s *soundness) check(ranges ...keyRange) error {
	if s.db == nil || len(ranges) == 0 {
		return nil
	}
	for level, tables := range s.tables() {
		for _, r := range ranges {
			for _, t := range overlapping(tables, r, level == 0) {
				if err := s.checkTable(t.id, r); err != nil {
					s.found(err)
					return err
				}
			}
		}
	}
	return nil
}

func (s *soundness) checkTable(id uint64, r keyRange) *damageError {
	path := tablePath(s.dir, id)
	c, known := s.checked.get(id)
	var err error
	if !known {
		if c, err = table.OpenChecked(path); err == nil {
			s.checked.put(id, c)
		}
	}
	if err == nil {
		err = c.Check(r.from, r.to)
	}
	if err != nil && !table.Gone(err) && ofTheFile(err) && has(s.db, path) {
		return damaged(history.Unavailable, path, err)
	}
	return nil
}

// tables returns the tables that the database has. It looks at the sizes of the levels to see whether they are still the same.
func (s *soundness) tables() tableRanges {
	state := levelsOf(s.db)
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == s.state {
		return s.ranges
	}
	ranges := tableRanges{}
	for _, t := range s.db.Tables() {
		for len(ranges) <= t.Level {
			ranges = append(ranges, nil)
		}
		const version = 8 // at the end of a table's keys
		one := tableRange{t.ID, t.Left[:max(len(t.Left)-version, 0)], t.Right[:max(len(t.Right)-version, 0)]}
		ranges[t.Level] = append(ranges[t.Level], one)
	}
	for _, tables := range ranges[min(1, len(ranges)):] {
		slices.SortFunc(tables, func(a, b tableRange) int { return bytes.Compare(a.first, b.first) })
	}
	s.state, s.ranges = state, ranges
	s.checked.keep(func(id uint64) bool {
		return slices.ContainsFunc(ranges, func(level []tableRange) bool {
			return slices.ContainsFunc(level, func(t tableRange) bool { return t.id == id })
		})
	})
	return ranges
}

// levelsOf returns a sum of the sizes of a database's levels, which is another one whenever tables come or go.
func levelsOf(db *badger.DB) uint64 {
	var b []byte
	for _, l := range db.Levels() {
		b = binary.LittleEndian.AppendUint64(b, uint64(l.NumTables))
		b = binary.LittleEndian.AppendUint64(b, uint64(l.Size))
		b = binary.LittleEndian.AppendUint64(b, uint64(l.StaleDatSize))
	}
	return codec.Sum(b)
}

// overlapping returns the tables of a level that may hold a key of a range.
func overlapping(tables []tableRange, r keyRange, unsorted bool) []tableRange {
	in := func(t tableRange) bool { return bytes.Compare(t.last, r.from) >= 0 && before(t.first, r.to) }
	if unsorted {
		return slices.DeleteFunc(slices.Clone(tables), func(t tableRange) bool { return !in(t) })
	}
	begin := sort.Search(len(tables), func(i int) bool { return bytes.Compare(tables[i].last, r.from) >= 0 })
	end := begin
	for end < len(tables) && in(tables[end]) {
		end++
	}
	return tables[begin:end]
}

// onlyKey returns the range of one key.
func onlyKey(k []byte) keyRange { return keyRange{k, append(bytes.Clone(k), 0)} }

// checkKey checks the blocks that may hold a key.
func (s *soundness) checkKey(k []byte) error { return s.check(onlyKey(k)) }

// checkPrefix checks the blocks that may hold a key with a prefix.
func (s *soundness) checkPrefix(prefix []byte) error { return s.check(prefixRange(prefix)) }

// close stops the background check and closes all files.
func (s *soundness) close() {
	close(s.stop)
	<-s.ended
	if s.checked != nil {
		s.checked.keep(func(uint64) bool { return false })
	}
}
