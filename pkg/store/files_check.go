package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// The database's files of which there is one.
const (
	manifestFile = "MANIFEST"
	registryFile = "KEYREGISTRY"
)

// torn says which of the database's files is damaged, and how.
type torn struct {
	file    string
	problem string
}

// Error returns the damage in one line.
func (t *torn) Error() string { return t.file + ": " + t.problem }

// files are the tables and write-ahead logs that a directory has, and what its manifest says of the tables.
type files struct {
	dir      string
	manifest badger.Manifest
	found    map[uint64]bool // tables
	logs     []string        // names of write-ahead and value logs
}

// check looks at the files of a database that is about to be opened, and returns its tables, which [vet] reads on. Badger would
// end the process over some kinds of damage, and make an empty database over others: it deletes the tables that its manifest does
// not name. The directory must be locked.
func check(dir string) (indexes, error) {
	tables, err := checkFiles(dir)
	if _, unfinished := os.Stat(filepath.Join(dir, repairing)); err == nil && unfinished == nil {
		err = &torn{repairing, "an earlier repair broke off"}
	}
	if t, ok := errors.AsType[*torn](err); ok {
		return nil, damaged(history.Invalid, filepath.Join(dir, t.file), errors.New(t.problem))
	}
	return tables, err
}

func checkFiles(dir string) (indexes, error) {
	f, err := readFiles(dir)
	if err != nil || f == nil {
		return nil, err
	}
	if err := checkRegistry(dir); err != nil {
		return nil, err
	}
	for _, name := range f.logs {
		if err := checkLog(dir, name); err != nil {
			return nil, err
		}
	}
	tables, err := f.tables()
	if err != nil {
		return nil, err
	}
	return tables, f.unknown(tables.newest())
}

// readFiles returns nil where there is no database yet.
func readFiles(dir string) (*files, error) {
	f := &files{dir: dir, found: map[uint64]bool{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unwritable(dir, err)
	}
	for _, e := range entries {
		name, extension, _ := strings.Cut(e.Name(), ".")
		id, err := strconv.ParseUint(name, 10, 64)
		switch {
		case err == nil && extension == "sst":
			f.found[id] = true
		case err == nil && (extension == "mem" || extension == "vlog"):
			f.logs = append(f.logs, e.Name())
		}
	}
	m, err := os.Open(filepath.Join(dir, manifestFile))
	if errors.Is(err, os.ErrNotExist) {
		if len(f.found) > 0 {
			return f, &torn{manifestFile, "it is missing, and there are tables"}
		}
		return nil, nil
	}
	if err != nil {
		return nil, unwritable(dir, err)
	}
	defer m.Close()
	end := int64(0)
	if f.manifest, end, err = badger.ReplayManifestFile(m, 0, tuned(dir, Options{})); err != nil {
		return f, &torn{manifestFile, firstLine(err)}
	}
	st, err := m.Stat()
	if err != nil {
		return nil, unwritable(dir, err)
	}
	if st.Size() != end { // Badger would remove the tables that are not listed any more
		return f, &torn{manifestFile, "it is cut off"}
	}
	return f, nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(line, ".")
}

// indexes are the tables of a database by their numbers, closed: there may be nearly as many as a process may have files.
// Of each are read its index and its last block, which is what Badger opens it by.
type indexes map[uint64]*table.Table

// newest returns the newest of the database's versions in the tables.
func (i indexes) newest() (n uint64) {
	for _, t := range i {
		n = max(n, t.Newest)
	}
	return n
}

// tables reads the tables that the manifest names. Those that Badger may compact soon are read as a whole, since a compaction passes over
// what is damaged for good: those with what there is once an object or a log, and those of the newest day. The others are read beside
// the open log.
func (f *files) tables() (indexes, error) {
	tables, edges := make(indexes, len(f.manifest.Tables)), map[uint64][2][]byte{}
	newest := []byte{}
	for id := range f.manifest.Tables {
		t, first, last, err := f.table(id)
		if err != nil {
			return nil, err
		}
		tables[id], edges[id] = t, [2][]byte{first, last}
		if last[0] == key.History && bytes.Compare(last, newest) > 0 {
			newest = last[:min(len(last), 3)]
		}
	}
	var soon []uint64
	for id, edge := range edges {
		if edge[0][0] < key.History || edge[1][0] > key.History || bytes.Compare(edge[1], newest) >= 0 {
			soon = append(soon, id)
		}
	}
	errs := make([]error, len(soon))
	parallel(len(soon), len(soon), func(i int) { errs[i] = f.readWhole(tables[soon[i]]) })
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	for _, id := range soon {
		tables[id].Blocks = nil // so that nobody reads it again
	}
	return tables, nil
}

// table reads one of the [indexes], with its smallest and its largest key.
func (f *files) table(id uint64) (t *table.Table, first, last []byte, err error) {
	path := tablePath(f.dir, id)
	name := filepath.Base(path)
	if !f.found[id] {
		return nil, nil, nil, &torn{name, "it is missing"}
	}
	t, err = table.Open(path)
	if err == nil {
		first = t.First[0]
		last, err = t.Last()
		err = errors.Join(err, t.Close())
	}
	if err == nil && (len(first) == 0 || len(last) == 0) {
		err = table.ErrDamaged
	}
	if err != nil && ofTheFile(err) {
		return nil, nil, nil, &torn{name, firstLine(err)}
	}
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return t, first, last, nil
}

// readWhole reads all blocks of a table but the last, which was read already.
func (f *files) readWhole(t *table.Table) error {
	err := t.Reopen()
	if err == nil {
		for i := 0; err == nil && i < len(t.Blocks)-1; i++ {
			if _, err = t.Read(i); err != nil {
				err = fmt.Errorf("block %d of %d: %w", i+1, len(t.Blocks), err)
			}
		}
		err = errors.Join(err, t.Close())
	}
	if err != nil && ofTheFile(err) {
		return &torn{filepath.Base(t.Path), firstLine(err)}
	}
	return err
}

// unknown checks the tables that the manifest does not name. After a crash there may be some: what a compaction was making, which
// holds nothing newer than the tables that it was made of; and what a write-ahead log was being made into, as long as the log is
// there too. Otherwise the manifest has lost its end, and with it all that only those tables hold.
func (f *files) unknown(newest uint64) error {
	newer := 0
	for id := range f.found {
		if _, known := f.manifest.Tables[id]; known {
			continue
		}
		t, err := table.Open(tablePath(f.dir, id))
		if err != nil {
			continue // it was not finished
		}
		if t.Newest > newest {
			newer++
		}
		if err := t.Close(); err != nil {
			return err
		}
	}
	logs := 0
	for _, name := range f.logs {
		if filepath.Ext(name) == ".mem" {
			logs++
		}
	}
	if newer > logs {
		return &torn{manifestFile, fmt.Sprintf("it does not name %d tables that hold what is nowhere else", newer)}
	}
	return nil
}

// registrySize is the length in bytes of a key registry without keys: this one is never encrypted.
const registrySize = 16 + 12

// sanity is what Badger looks for in the registry.
const sanity = "Hello Badger"

func checkRegistry(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, registryFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // it is made anew
	case err != nil:
		return unwritable(dir, err)
	case len(b) < registrySize || string(b[registrySize-len(sanity):registrySize]) != sanity:
		return &torn{registryFile, "it is not what was written"}
	default:
		return nil
	}
}

// logKey is the length in bytes of what a log begins with: the number of the key that it is encrypted with, which is 0.
const logKey = 8

func checkLog(dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return unwritable(dir, err)
	}
	defer f.Close()
	var b [logKey]byte
	if n, err := io.ReadFull(f, b[:]); n == len(b) && err == nil && b != [logKey]byte{} {
		return &torn{name, "its beginning is not what was written"}
	}
	return nil
}
