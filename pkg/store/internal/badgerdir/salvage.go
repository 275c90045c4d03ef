package badgerdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sync/errgroup"

	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// DamagedFile is a damaged file of a database: its name, what is wrong with it,
// and what a repair does with it.
type DamagedFile struct{ Name, Problem, Repair string }

// Salvage describes which parts of a database can be read, after all its tables
// were read. It is not safe for concurrent use: a [View] adds tables to it.
type Salvage struct {
	dir   string
	files *files
	// resetManifest is set if the manifest is damaged. Then all tables of the
	// directory belong to the database, in level 0.
	resetManifest bool
	tables        map[uint64]badger.TableManifest // of the database
	examined      map[uint64]*examinedTable       // all of these tables
	damaged       []*examinedTable                // the damaged ones, by number
	// regenerated are the names of damaged files that are created again without
	// a loss.
	regenerated []string
	// badHeaders are the names of logs whose beginning is damaged.
	badHeaders []string
	compacted  *DamageError // a damaged table that was compacted; nil: none
	lost       keyrange.Set
	next       uint64 // the number of the next new table
}

// examinedTable is a table of which every block was read.
type examinedTable struct {
	id      uint64
	problem string   // empty: the table is intact
	intact  []int    // the numbers of the intact blocks
	first   [][]byte // the smallest key of each block that was found
	last    []byte   // the largest key; nil: unknown
	// holes are the numbers of the blocks before which others may be missing.
	// The number of blocks means that some may be missing at the end.
	holes    []int
	indexed  bool   // the table's index is intact
	replaced uint64 // the number of the table with the intact blocks; 0: none
}

// Examine reads all tables of a directory. It returns nil if there is no
// database. The directory must be locked, or no process may write to it.
//
// known is the damage that was found while the database was open, or nil.
// Badger may have compacted the table since, even while the database was
// closed. A compaction drops what it can't read, so all keys of the table may
// be lost then.
//
// Damage is not an error. An error means that ctx ended, or that a file could
// not be read for a reason other than damage.
func Examine(ctx context.Context, dir string, known *DamageError) (*Salvage, error) {
	f, err := readFiles(dir)
	if _, corrupt := errors.AsType[*corruptFileError](err); err != nil && !corrupt {
		return nil, err
	}
	if f == nil {
		return nil, nil
	}
	s := &Salvage{
		dir: dir, files: f, resetManifest: err != nil,
		tables: maps.Clone(f.manifest.Tables), examined: map[uint64]*examinedTable{},
	}
	if !s.resetManifest {
		_, s.resetManifest = errors.AsType[*corruptFileError](f.checkUnnamed(f.newestNamed()))
	}
	if s.resetManifest {
		s.tables = map[uint64]badger.TableManifest{}
		for id := range f.found {
			s.tables[id] = badger.TableManifest{Compression: options.ZSTD}
		}
		s.regenerated = append(s.regenerated, manifestFile)
	}
	if checkRegistry(dir) != nil {
		s.regenerated = append(s.regenerated, registryFile)
	}
	for _, name := range f.logs {
		if checkLogHeader(dir, name) != nil {
			s.badHeaders = append(s.badHeaders, name)
		}
	}
	for id := range f.found {
		s.next = max(s.next, id+1)
	}
	for id := range s.tables {
		s.next = max(s.next, id+1)
	}
	if err := s.examineTables(ctx); err != nil {
		return nil, err
	}
	var lost []keyrange.Range
	for _, e := range s.damaged {
		lost = append(lost, s.lostOf(e)...)
	}
	if known != nil && known.keys.From != nil && !s.contains(known.path) {
		s.compacted = known
		lost = append(lost, known.keys)
	}
	s.lost = keyrange.Union(lost)
	return s, nil
}

// contains reports whether the database contains the table with a path.
func (s *Salvage) contains(path string) bool {
	for id := range s.tables {
		if tableName(id) == filepath.Base(path) {
			return true
		}
	}
	return false
}

// Dir returns the examined directory.
func (s *Salvage) Dir() string { return s.dir }

// Lost returns the keys whose newest value may be lost. Such a key may still be
// in an older table, with an outdated value. The ranges can contain keys that
// never existed.
func (s *Salvage) Lost() keyrange.Set { return s.lost }

// DamagedFiles returns the damaged files and what a repair does with them. It
// is empty if the database is intact.
func (s *Salvage) DamagedFiles() (list []DamagedFile) {
	for _, e := range s.damaged {
		f := DamagedFile{Name: tableName(e.id), Problem: e.problem}
		switch {
		case len(e.first) == 0:
			f.Repair = "nothing can be read"
		case e.indexed:
			f.Repair = fmt.Sprintf("kept %d of %d blocks", len(e.intact), len(e.first))
		default:
			f.Repair = fmt.Sprintf("kept %d blocks", len(e.intact))
		}
		list = append(list, f)
	}
	if c := s.compacted; c != nil {
		list = append(list, DamagedFile{filepath.Base(c.path), c.problem.Error(), "compacted before it was repaired"})
	}
	for _, name := range s.regenerated {
		list = append(list, DamagedFile{name, "corrupt", "created again without a loss"})
	}
	for _, name := range s.badHeaders {
		list = append(list, DamagedFile{name, "corrupt header", "written again without a loss"})
	}
	return list
}

// examineTables reads every block of every table, several tables at a time.
func (s *Salvage) examineTables(ctx context.Context) error {
	ids := slices.Sorted(maps.Keys(s.tables))
	tables := make([]*examinedTable, len(ids))
	var g errgroup.Group
	g.SetLimit(maxReaders())
	for i, id := range ids {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			tables[i], err = examineTable(TablePath(s.dir, id), id)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, e := range tables {
		s.examined[e.id] = e
		if e.problem != "" {
			s.damaged = append(s.damaged, e)
		}
	}
	return nil
}

// examineTable reads a table. A block that can't be read is damaged, whether
// its checksum or the disk is the cause. Errors of this process, such as too
// many open files, are returned.
func examineTable(path string, id uint64) (*examinedTable, error) {
	e := &examinedTable{id: id, indexed: true}
	t, err := table.Open(path)
	if err != nil && !IsFileError(err) {
		return nil, err
	}
	if err != nil {
		e.problem, e.indexed = problemOf(err), false
		if t, e.holes, err = table.Recover(path); err != nil {
			if !IsFileError(err) {
				return nil, err
			}
			return e, nil
		}
	}
	e.first = t.First
	for i := range t.Blocks {
		if err := readEntries(t, i); err == nil {
			e.intact = append(e.intact, i)
		} else if e.problem == "" {
			e.problem = fmt.Sprintf("block %d of %d: %v", i+1, len(t.Blocks), err)
		}
	}
	if n := len(e.intact); n > 0 && e.intact[n-1] == len(t.Blocks)-1 {
		e.last, err = t.Last()
	}
	return e, errors.Join(err, t.Close())
}

// problemOf describes the error of opening a table.
func problemOf(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "missing"
	}
	return err.Error()
}

// readEntries decodes all entries of a block.
func readEntries(t *table.Table, i int) error {
	for _, err := range t.Entries(i) {
		if err != nil {
			return err
		}
	}
	return nil
}

// lostOf returns the keys that the unreadable blocks of a table may contain. A
// block contains the keys from its first one up to the first key of the next
// block. That key is included: the next block may begin with an older version
// of the block's last key.
func (s *Salvage) lostOf(e *examinedTable) (lost []keyrange.Range) {
	if len(e.first) == 0 {
		return s.lostBetweenNeighbors(e)
	}
	end := func(i int) []byte {
		if i < len(e.first) {
			return keyrange.After(e.first[i])
		}
		return s.upperBound(e)
	}
	intact := map[int]bool{}
	for _, i := range e.intact {
		intact[i] = true
	}
	for i, first := range e.first {
		if !intact[i] {
			lost = append(lost, keyrange.Range{From: first, To: end(i + 1)})
		}
	}
	for _, i := range e.holes {
		from := s.lowerBound(e)
		if i > 0 {
			from = e.first[i-1]
		}
		lost = append(lost, keyrange.Range{From: from, To: end(i)})
	}
	return lost
}

// neighbors returns the other tables of a table's level by their smallest keys.
// It returns nil for level 0, whose tables overlap.
func (s *Salvage) neighbors(of *examinedTable) (others []*examinedTable) {
	level := s.tables[of.id].Level
	if level == 0 {
		return nil
	}
	for id, e := range s.examined {
		if id != of.id && s.tables[id].Level == level && len(e.first) > 0 {
			others = append(others, e)
		}
	}
	slices.SortFunc(others, func(a, b *examinedTable) int { return bytes.Compare(a.first[0], b.first[0]) })
	return others
}

// afterLast returns a key after the largest known key of a table.
func (e *examinedTable) afterLast() []byte {
	if e.last != nil {
		return keyrange.After(e.last)
	}
	return keyrange.After(e.first[len(e.first)-1])
}

// upperBound returns a key greater than all keys of a table. It returns nil if
// no such key is known.
func (s *Salvage) upperBound(e *examinedTable) []byte {
	for _, o := range s.neighbors(e) {
		if bytes.Compare(o.first[0], e.first[len(e.first)-1]) > 0 {
			return o.first[0]
		}
	}
	return nil
}

// lowerBound returns a key that is not greater than any key of a table.
func (s *Salvage) lowerBound(e *examinedTable) []byte {
	from := []byte{}
	for _, o := range s.neighbors(e) {
		if bytes.Compare(o.first[0], e.first[0]) < 0 {
			from = o.afterLast()
		}
	}
	return from
}

// lostBetweenNeighbors returns the keys that a completely unreadable table may
// contain: all that are not within another table of its level.
func (s *Salvage) lostBetweenNeighbors(e *examinedTable) (lost []keyrange.Range) {
	from := []byte{}
	for _, o := range s.neighbors(e) {
		lost = append(lost, keyrange.Range{From: from, To: o.first[0]})
		from = o.afterLast()
	}
	return append(lost, keyrange.Range{From: from})
}

// writeIntact writes the intact blocks of the damaged tables into new tables in
// another directory. It returns the tables of the repaired database: the intact
// ones and the new ones. A new table has the level of the one it replaces.
func (s *Salvage) writeIntact(ctx context.Context, dir string) (map[uint64]badger.TableManifest, error) {
	tables := maps.Clone(s.tables)
	for _, e := range s.damaged {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := tables[e.id]
		delete(tables, e.id)
		if len(e.intact) == 0 {
			continue
		}
		made, err := table.Write(TablePath(dir, s.next), intactEntries(TablePath(s.dir, e.id), e))
		if err != nil {
			return nil, fmt.Errorf("copy the intact blocks of %s: %w", tableName(e.id), err)
		}
		if made {
			e.replaced = s.next
			tables[s.next] = badger.TableManifest{Level: m.Level, Compression: options.ZSTD}
			s.next++
		}
	}
	return tables, nil
}

// intactEntries yields the entries of the intact blocks of a table.
func intactEntries(path string, e *examinedTable) iter.Seq2[table.Entry, error] {
	return func(yield func(table.Entry, error) bool) {
		t, err := reopen(path, e.indexed)
		if err != nil {
			yield(table.Entry{}, err)
			return
		}
		defer t.Close()
		for _, i := range e.intact {
			for entry, err := range t.Entries(i) {
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

// reopen opens an examined table.
func reopen(path string, indexed bool) (*table.Table, error) {
	if indexed {
		return table.Open(path)
	}
	t, _, err := table.Recover(path)
	return t, err
}

// newTables returns the numbers of the tables that writeIntact wrote.
func (s *Salvage) newTables() (ids []uint64) {
	for _, e := range s.damaged {
		if e.replaced != 0 {
			ids = append(ids, e.replaced)
		}
	}
	return ids
}

// walNames returns the names of the WALs by age.
func (s *Salvage) walNames() []string {
	names := slices.DeleteFunc(slices.Clone(s.files.logs), func(name string) bool { return !isWAL(name) })
	slices.Sort(names)
	return names
}

func (s *Salvage) path(name string) string { return filepath.Join(s.dir, name) }
