package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// salvage is what can be read of a directory's database, and which keys can't: those of the damaged blocks. The directory must be
// locked, or nobody may write to it.
type salvage struct {
	dir     string
	files   *files
	rebuild bool // the manifest can't be used: all tables go into the first level
	// tables are those that the manifest names, or all where it can't be used.
	tables  map[uint64]badger.TableManifest
	damaged []*examined // of these, in the order of their numbers
	aside   []string    // names of other damaged files
	starts  []string    // names of logs whose beginning is damaged
	lost    keyRanges
	next    uint64 // number of the next new table
	all     map[uint64]*examined
}

// examined is a table of which every block was read.
type examined struct {
	id       uint64
	problem  string   // empty: it is sound
	sound    []int    // numbers of its sound blocks
	first    [][]byte // the smallest key of each block that was found
	last     []byte   // its largest key; nil if that is not known
	holes    []int    // numbers of blocks before which others may be missing; one more than there are: at the end
	indexed  bool     // its index was read
	replaced uint64   // number of the table with what is sound of it; 0: there is none
}

// examine reads all tables of a directory. It returns nil where there is no database.
func examine(ctx context.Context, dir string) (*salvage, error) {
	f, err := readFiles(dir)
	if _, isTorn := errors.AsType[*torn](err); err != nil && !isTorn {
		return nil, err
	}
	if f == nil {
		return nil, nil
	}
	s := &salvage{dir: dir, files: f, rebuild: err != nil, tables: maps.Clone(f.manifest.Tables), all: map[uint64]*examined{}}
	if !s.rebuild {
		_, s.rebuild = errors.AsType[*torn](f.unknown(f.newest()))
	}
	if s.rebuild {
		s.tables = map[uint64]badger.TableManifest{}
		for id := range f.found {
			s.tables[id] = badger.TableManifest{Compression: options.ZSTD}
		}
		s.aside = append(s.aside, manifestFile)
	}
	if checkRegistry(dir) != nil {
		s.aside = append(s.aside, registryFile)
	}
	for _, name := range f.logs {
		if checkLog(dir, name) != nil {
			s.starts = append(s.starts, name)
		}
	}
	for id := range f.found {
		s.next = max(s.next, id+1)
	}
	for id := range s.tables {
		s.next = max(s.next, id+1)
	}
	if err := s.readTables(ctx); err != nil {
		return nil, err
	}
	return s, s.lose()
}

// readTables reads every block of every table, several tables at a time.
func (s *salvage) readTables(ctx context.Context) error {
	ids := slices.Sorted(maps.Keys(s.tables))
	tables, errs := make([]*examined, len(ids)), make([]error, len(ids))
	parallel(len(ids), len(ids), func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			tables[i], errs[i] = examineTable(tablePath(s.dir, ids[i]), ids[i])
		}
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, e := range tables {
		s.all[e.id] = e
		if e.problem != "" {
			s.damaged = append(s.damaged, e)
		}
	}
	return nil
}

// examineTable reads a table. What can't be read, be it for its checksum or for the disk, is damaged; that there are too many open
// files is an error.
func examineTable(path string, id uint64) (*examined, error) {
	e := &examined{id: id, indexed: true}
	t, err := table.Open(path)
	if err != nil && !ofTheFile(err) {
		return nil, err
	}
	if err != nil {
		e.problem, e.indexed = problemOf(err), false
		if t, e.holes, err = table.Recover(path); err != nil {
			if !ofTheFile(err) {
				return nil, err
			}
			return e, nil
		}
	}
	e.first = t.First
	for i := range t.Blocks {
		if err := readable(t, i); err == nil {
			e.sound = append(e.sound, i)
		} else if e.problem == "" {
			e.problem = fmt.Sprintf("block %d of %d: %v", i+1, len(t.Blocks), err)
		}
	}
	if n := len(e.sound); n > 0 && e.sound[n-1] == len(t.Blocks)-1 {
		e.last, err = t.Last()
	}
	return e, errors.Join(err, t.Close())
}

// problemOf says what is wrong with a table that can't be opened.
func problemOf(err error) string {
	if errors.Is(err, os.ErrNotExist) {
		return "it is missing"
	}
	return err.Error()
}

func readable(t *table.Table, i int) error {
	for _, err := range t.Entries(i) {
		if err != nil {
			return err
		}
	}
	return nil
}

// ofTheFile reports whether an error of reading a table says something about the table, and not about this process.
func ofTheFile(err error) bool {
	return errors.Is(err, table.ErrDamaged) || errors.Is(err, os.ErrNotExist) ||
		errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF)
}

// lose finds out which keys are lost.
func (s *salvage) lose() error {
	var lost []keyRange
	for _, e := range s.damaged {
		lost = append(lost, s.lostOf(e)...)
	}
	days, err := unfinishedRepair(s.dir)
	for _, day := range days {
		lost = append(lost, prefixRange(key.DayPrefix(day)))
	}
	s.lost = merged(lost)
	return err
}

// lostOf returns the ranges of keys that a damaged table had and that can't be read. A block has the keys from its first one up to
// that of the next block, which may begin with an older version of the block's last key.
func (s *salvage) lostOf(e *examined) (lost []keyRange) {
	if len(e.first) == 0 {
		return s.elsewhere(e)
	}
	end := func(i int) []byte {
		if i < len(e.first) {
			return append(bytes.Clone(e.first[i]), 0)
		}
		return s.above(e)
	}
	sound := map[int]bool{}
	for _, i := range e.sound {
		sound[i] = true
	}
	for i, first := range e.first {
		if !sound[i] {
			lost = append(lost, keyRange{first, end(i + 1)})
		}
	}
	for _, i := range e.holes {
		from := s.below(e)
		if i > 0 {
			from = e.first[i-1]
		}
		lost = append(lost, keyRange{from, end(i)})
	}
	return lost
}

// level returns the other tables of a table's level, with their smallest keys, in the order of these. Below the first level, no two
// have a key in common.
func (s *salvage) level(of *examined) (others []*examined) {
	level := s.tables[of.id].Level
	if level == 0 {
		return nil
	}
	for id, e := range s.all {
		if id != of.id && s.tables[id].Level == level && len(e.first) > 0 {
			others = append(others, e)
		}
	}
	slices.SortFunc(others, func(a, b *examined) int { return bytes.Compare(a.first[0], b.first[0]) })
	return others
}

// end returns a key behind the largest one of a table that is known.
func (e *examined) end() []byte {
	last := e.last
	if last == nil {
		last = e.first[len(e.first)-1]
	}
	return append(bytes.Clone(last), 0)
}

// above returns a key behind all that a table had; nil if none is known.
func (s *salvage) above(e *examined) []byte {
	for _, o := range s.level(e) {
		if bytes.Compare(o.first[0], e.first[len(e.first)-1]) > 0 {
			return o.first[0]
		}
	}
	return nil
}

// below returns a key before all that a table had.
func (s *salvage) below(e *examined) []byte {
	from := []byte{}
	for _, o := range s.level(e) {
		if bytes.Compare(o.first[0], e.first[0]) < 0 {
			from = o.end()
		}
	}
	return from
}

// elsewhere returns the ranges in which the keys of a table were of which nothing can be read: between the tables of its level.
func (s *salvage) elsewhere(e *examined) (lost []keyRange) {
	from := []byte{}
	for _, o := range s.level(e) {
		lost = append(lost, keyRange{from, o.first[0]})
		from = o.end()
	}
	return append(lost, keyRange{from, nil})
}

// replace writes what is sound of the damaged tables into new ones, in another directory, and returns the tables that there are then.
func (s *salvage) replace(ctx context.Context, dir string) (map[uint64]badger.TableManifest, error) {
	tables := maps.Clone(s.tables)
	for _, e := range s.damaged {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m := tables[e.id]
		delete(tables, e.id)
		if len(e.sound) == 0 {
			continue
		}
		made, err := table.Write(tablePath(dir, s.next), soundEntries(tablePath(s.dir, e.id), e))
		if err != nil {
			return nil, fmt.Errorf("save what is sound of %s: %w", filepath.Base(tablePath(s.dir, e.id)), err)
		}
		if made {
			e.replaced = s.next
			tables[s.next] = badger.TableManifest{Level: m.Level, Compression: options.ZSTD}
			s.next++
		}
	}
	return tables, nil
}

// soundEntries yields what the sound blocks of a table hold.
func soundEntries(path string, e *examined) iter.Seq2[table.Entry, error] {
	return func(yield func(table.Entry, error) bool) {
		t, err := openAgain(path, e.indexed)
		if err != nil {
			yield(table.Entry{}, err)
			return
		}
		defer t.Close()
		for _, i := range e.sound {
			for entry, err := range t.Entries(i) {
				if !yield(entry, err) || err != nil {
					return
				}
			}
		}
	}
}

func openAgain(path string, indexed bool) (*table.Table, error) {
	if indexed {
		return table.Open(path)
	}
	t, _, err := table.Recover(path)
	return t, err
}

// repairing is the file that names days to drop: an earlier version's repair left it when it broke off.
const repairing = "REPAIRING"

// unfinishedRepair returns the days that an earlier version's repair was dropping.
func unfinishedRepair(dir string) (days []uint16, err error) {
	path := filepath.Join(dir, repairing)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unwritable(dir, err)
	}
	if err := json.Unmarshal(b, &days); err != nil {
		return nil, history.Errorf(history.Invalid, "read %s: %v", path, err)
	}
	return days, nil
}
