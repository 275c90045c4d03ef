package badgerdir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	badger "github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// The files that a database has once.
const (
	manifestFile = "MANIFEST"
	registryFile = "KEYREGISTRY"
)

// tableVersion is the length in bytes of Badger's version, which ends every key
// of a table.
const tableVersion = 8

// TablePath returns the path of a table's file.
func TablePath(dir string, id uint64) string { return filepath.Join(dir, tableName(id)) }

func tableName(id uint64) string { return fmt.Sprintf("%06d.sst", id) }

// DamagedTable returns the error of a damaged table of an open database, with
// the code [history.Unavailable]. It returns nil if the database no longer
// contains the table: Badger truncates the file of a compacted table before it
// removes the file, so a concurrent reader finds damage.
func DamagedTable(db *badger.DB, path string, problem error) *DamageError {
	name := filepath.Base(path)
	for _, t := range db.Tables() {
		if tableName(t.ID) == name {
			keys := keyrange.Range{From: bytes.Clone(KeyOf(t.Left)), To: keyrange.After(KeyOf(t.Right))}
			return &DamageError{path, problem, history.Unavailable, keys}
		}
	}
	return nil
}

// ErrDamaged matches every [DamageError].
var ErrDamaged = errors.New("damaged database")

// DamageError is the error of a damaged file of a database.
type DamageError struct {
	path    string
	problem error
	code    history.Code   // Unavailable: of an open database; otherwise Invalid
	keys    keyrange.Range // that the table of an open database contains; From is nil if the file is not one
}

// Error names the directory and the file.
func (d *DamageError) Error() string {
	return fmt.Sprintf("the database in %s is damaged (%s: %v)", filepath.Dir(d.path), filepath.Base(d.path), d.problem)
}

// Unwrap returns the error with its code, and [ErrDamaged].
func (d *DamageError) Unwrap() []error {
	return []error{&history.Error{Code: d.code, Message: d.Error()}, ErrDamaged}
}

// IsFileError reports whether an error of reading a table is caused by its
// file. Other errors, such as too many open files, are caused by this process.
func IsFileError(err error) bool {
	return errors.Is(err, table.ErrDamaged) || errors.Is(err, os.ErrNotExist) ||
		errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF)
}

// corruptFileError is the internal error of a damaged file. [Check] returns it
// as a [DamageError], and [Examine] collects it.
type corruptFileError struct {
	name    string
	problem string
}

// Error returns the file's name and the problem in one line.
func (c *corruptFileError) Error() string { return c.name + ": " + c.problem }

// Bounds are the smallest and the largest key of a table, without Badger's
// version.
type Bounds struct{ First, Last []byte }

// Tables are the tables of a database by their number. Their files are closed,
// since there may be nearly as many as this process may open. The index and the
// last block of each table are verified: Badger reads them when it opens the
// table.
type Tables map[uint64]*table.Table

// newest returns the newest of Badger's versions in the tables.
func (t Tables) newest() (n uint64) {
	for _, one := range t {
		n = max(n, one.Newest)
	}
	return n
}

// files are the files of a directory, as they were when readFiles listed them,
// and the decoded manifest.
type files struct {
	dir      string
	manifest badger.Manifest
	found    map[uint64]bool // numbers of the tables in the directory
	logs     []string        // names of the WALs and value logs
}

// Check verifies the files of a database before Badger opens it, and returns
// its tables. It returns nil if there is no database. A damaged file is a
// [DamageError] with the code [history.Invalid].
//
// It verifies all blocks of the tables that urgent selects, and sets their
// Blocks to nil. The caller verifies the other tables while the database is
// open. urgent must select the tables that Badger may compact soon: a
// compaction drops damaged blocks permanently.
func Check(dir string, urgent func(map[uint64]Bounds) []uint64) (Tables, error) {
	tables, err := check(dir, urgent)
	if c, ok := errors.AsType[*corruptFileError](err); ok {
		return nil,
			&DamageError{path: filepath.Join(dir, c.name), problem: errors.New(c.problem), code: history.Invalid}
	}
	return tables, err
}

// check is Check with a [corruptFileError] for a damaged file.
func check(dir string, urgent func(map[uint64]Bounds) []uint64) (Tables, error) {
	f, err := readFiles(dir)
	if err != nil || f == nil {
		return nil, err
	}
	if err := checkRegistry(dir); err != nil {
		return nil, err
	}
	for _, name := range f.logs {
		if err := checkLogHeader(dir, name); err != nil {
			return nil, err
		}
	}
	tables, err := f.openTables(urgent)
	if err != nil {
		return nil, err
	}
	return tables, f.checkUnnamed(tables.newest())
}

// readFiles lists a directory and reads its manifest. It returns nil if there
// is no database. With a [corruptFileError] of the manifest, the list of files
// is valid.
func readFiles(dir string) (*files, error) {
	f := &files{dir: dir, found: map[uint64]bool{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, Unwritable(dir, err)
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
			return f, &corruptFileError{manifestFile, "missing, but there are tables"}
		}
		return nil, nil
	}
	if err != nil {
		return nil, Unwritable(dir, err)
	}
	defer m.Close()
	end := int64(0)
	if f.manifest, end, err = badger.ReplayManifestFile(m, 0, badger.DefaultOptions(dir).WithLogger(nil)); err != nil {
		return f, &corruptFileError{manifestFile, firstLine(err)}
	}
	st, err := m.Stat()
	if err != nil {
		return nil, Unwritable(dir, err)
	}
	if st.Size() != end { // Badger would remove the tables that the lost end names
		return f, &corruptFileError{manifestFile, "truncated"}
	}
	return f, nil
}

// firstLine shortens an error to one line without a period.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSuffix(line, ".")
}

// maxReaders bounds how many tables are read at the same time. Each one that is
// read takes memory.
func maxReaders() int { return min(runtime.GOMAXPROCS(0), 4) }

// openTables reads the tables that the manifest names, and verifies the urgent
// ones completely.
func (f *files) openTables(urgent func(map[uint64]Bounds) []uint64) (Tables, error) {
	tables, bounds := make(Tables, len(f.manifest.Tables)), map[uint64]Bounds{}
	for id := range f.manifest.Tables {
		t, b, err := f.openTable(id)
		if err != nil {
			return nil, err
		}
		tables[id], bounds[id] = t, b
	}
	ids := urgent(bounds)
	var g errgroup.Group
	g.SetLimit(maxReaders())
	for _, id := range ids {
		g.Go(func() error { return f.readBlocks(tables[id]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, id := range ids {
		tables[id].Blocks = nil
	}
	return tables, nil
}

// openTable reads the index and the last block of a table. The table is
// closed.
func (f *files) openTable(id uint64) (t *table.Table, b Bounds, err error) {
	path := TablePath(f.dir, id)
	if !f.found[id] {
		return nil, b, &corruptFileError{tableName(id), "missing"}
	}
	t, err = table.Open(path)
	if err == nil {
		b.First = t.First[0]
		b.Last, err = t.Last()
		err = errors.Join(err, t.Close())
	}
	if err == nil && (len(b.First) == 0 || len(b.Last) == 0) {
		err = table.ErrDamaged
	}
	if err != nil && IsFileError(err) {
		return nil, b, &corruptFileError{tableName(id), firstLine(err)}
	}
	if err != nil {
		return nil, b, fmt.Errorf("read %s: %w", path, err)
	}
	return t, b, nil
}

// readBlocks verifies all blocks of a table but the last, which openTable
// verified.
func (f *files) readBlocks(t *table.Table) error {
	err := ReadBlocks(t, nil)
	if err != nil && IsFileError(err) {
		return &corruptFileError{filepath.Base(t.Path), firstLine(err)}
	}
	return err
}

// ReadBlocks opens a closed table again, verifies all its blocks but the last,
// and closes it. It returns nil early once stop is closed.
func ReadBlocks(t *table.Table, stop <-chan struct{}) error {
	if err := t.Reopen(); err != nil {
		return err
	}
	for i := range max(len(t.Blocks)-1, 0) {
		select {
		case <-stop:
			return t.Close()
		default:
		}
		if _, err := t.Read(i); err != nil {
			err = fmt.Errorf("block %d of %d: %w", i+1, len(t.Blocks), err)
			return errors.Join(err, t.Close())
		}
	}
	return t.Close()
}

// checkUnnamed checks the tables that the manifest does not name. newest is the
// newest of Badger's versions in the tables that it does name.
//
// A crash can leave two kinds of unnamed tables. The output of an unfinished
// compaction contains nothing newer than its input. The output of a memtable
// has a WAL that still exists. Any other unnamed table means that the manifest
// lost its end, and that Badger would delete data.
func (f *files) checkUnnamed(newest uint64) error {
	newer := 0
	for id := range f.found {
		if _, named := f.manifest.Tables[id]; named {
			continue
		}
		t, err := table.Open(TablePath(f.dir, id))
		if err != nil {
			continue // an unfinished table
		}
		if t.Newest > newest {
			newer++
		}
		if err := t.Close(); err != nil {
			return err
		}
	}
	wals := 0
	for _, name := range f.logs {
		if isWAL(name) {
			wals++
		}
	}
	if newer > wals {
		return &corruptFileError{
			manifestFile, fmt.Sprintf("does not name %d tables whose data is in no other file", newer),
		}
	}
	return nil
}

// newestNamed returns the newest of Badger's versions in the readable tables
// that the manifest names.
func (f *files) newestNamed() (n uint64) {
	for id := range f.manifest.Tables {
		if t, _, err := f.openTable(id); err == nil {
			n = max(n, t.Newest)
		}
	}
	return n
}

// registrySize is the length in bytes of a key registry without keys. The
// database is never encrypted.
const registrySize = 16 + 12

// registryText is the text at the end of a registry by which Badger recognizes
// it.
const registryText = "Hello Badger"

// checkRegistry checks the key registry. Badger creates a missing one.
func checkRegistry(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, registryFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return Unwritable(dir, err)
	case len(b) < registrySize || string(b[registrySize-len(registryText):registrySize]) != registryText:
		return &corruptFileError{registryFile, "corrupt"}
	default:
		return nil
	}
}

// logKeySize is the length in bytes of the encryption key's number, with which
// WALs and value logs begin. It is 0, because nothing is encrypted.
const logKeySize = 8

// checkLogHeader checks the beginning of a WAL or a value log. Badger would end
// the process over an unknown encryption key.
func checkLogHeader(dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return Unwritable(dir, err)
	}
	defer f.Close()
	var b [logKeySize]byte
	if n, err := io.ReadFull(f, b[:]); n == len(b) && err == nil && b != [logKeySize]byte{} {
		return &corruptFileError{name, "corrupt header"}
	}
	return nil
}

// rewriteLogHeader repairs a beginning that checkLogHeader rejects. Nothing is
// lost: without encryption, its contents are always the same.
func rewriteLogHeader(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, logKeySize), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// KeyOf returns a key of a table without Badger's version. It shares memory
// with k.
func KeyOf(k []byte) []byte { return k[:max(len(k)-tableVersion, 0)] }
