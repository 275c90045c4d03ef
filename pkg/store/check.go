package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
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

// check looks at the files of a database that is about to be opened. Badger would end the process over some kinds of damage, and
// make an empty database over others: it deletes the tables that its manifest does not name. Of a table only the index is read,
// and what is damaged in its blocks is left to [Store.Verify]. The directory must be locked.
func check(dir string) error {
	err := checkFiles(dir)
	if t, ok := errors.AsType[*torn](err); ok {
		return damaged(history.Invalid, filepath.Join(dir, t.file), errors.New(t.problem))
	}
	return err
}

func checkFiles(dir string) error {
	f, err := readFiles(dir)
	if err != nil || f == nil {
		return err
	}
	if err := checkRegistry(dir); err != nil {
		return err
	}
	for _, name := range f.logs {
		if err := checkLog(dir, name); err != nil {
			return err
		}
	}
	var newest uint64
	for id := range f.manifest.Tables {
		version, err := f.check(id)
		if err != nil {
			return err
		}
		newest = max(newest, version)
	}
	return f.unknown(newest)
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

// check reads the index of a table, and returns the newest of the database's versions in it.
func (f *files) check(id uint64) (uint64, error) {
	path := tablePath(f.dir, id)
	name := filepath.Base(path)
	if !f.found[id] {
		return 0, &torn{name, "it is missing"}
	}
	t, err := table.Open(path)
	if errors.Is(err, table.ErrDamaged) {
		return 0, &torn{name, err.Error()}
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", path, err)
	}
	defer t.Close()
	if _, err := t.Read(len(t.Blocks) - 1); err != nil { // Badger reads it to open the table
		return 0, &torn{name, err.Error()}
	}
	return t.Newest, nil
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
