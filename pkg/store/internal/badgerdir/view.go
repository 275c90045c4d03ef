package badgerdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// View is a directory in which a damaged database is read as a repair leaves
// it. The database itself does not change. The view contains:
//
//   - symbolic links to the intact tables,
//   - new tables with the intact blocks of the damaged tables,
//   - copies of the WALs up to the first damage,
//   - one table with the edits of the repair.
//
// Badger opens the view read-only, so it compacts and removes nothing.
// [View.Install] moves the new tables into the database's directory.
//
// A View is not safe for concurrent use.
type View struct {
	// Edits are the keys that the repair changes. [View.WriteEdits] adds them
	// to the view, where they replace all other values of these keys.
	Edits map[string]Edit

	dir     string
	of      *Salvage
	tables  map[uint64]badger.TableManifest
	version uint64 // Badger's version of the edits: above all other ones; 0: unknown
	edited  uint64 // the number of the table with the edits; 0: none
}

// Edit is a new value of a key, or its removal.
type Edit struct {
	Value   []byte
	Expires uint64 // in seconds since 1970; 0: never
	Removed bool
}

// ErrNoDirectory is wrapped by the error of a view whose directory can't be
// created.
var ErrNoDirectory = errors.New("create a temporary directory")

// viewPrefix is the prefix of the names of views.
const viewPrefix = ".view-"

// NewView creates a view in a new directory in parent. The caller must call
// [View.Remove].
func NewView(ctx context.Context, of *Salvage, parent string) (v *View, err error) {
	dir, err := os.MkdirTemp(parent, viewPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDirectory, err)
	}
	v = &View{dir: dir, of: of, Edits: map[string]Edit{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.Remove())
		}
	}()
	if v.tables, err = of.writeIntact(ctx, dir); err != nil {
		return nil, err
	}
	if err := errors.Join(v.linkTables(), v.copyWALs(), writeManifest(dir, v.tables)); err != nil {
		return nil, err
	}
	return v, nil
}

// Dir returns the view's directory.
func (v *View) Dir() string { return v.dir }

// Salvage returns the examined database.
func (v *View) Salvage() *Salvage { return v.of }

// Remove removes the view's directory. The database must be closed.
func (v *View) Remove() error { return os.RemoveAll(v.dir) }

// Open opens the view's database for reading, with the edits that were written.
// The caller closes it before it calls another method.
//
// Every WAL becomes a memtable, so the options permit as many as a writing
// process leaves.
func (v *View) Open(o Options) (*badger.DB, error) {
	db, err := badger.Open(badgerOptions(v.dir, o).WithReadOnly(true).WithNumMemtables(maxMemtables + 2))
	if err != nil {
		return nil, fmt.Errorf("open database %s for reading: %w", v.of.dir, err)
	}
	if v.version == 0 {
		v.version = db.MaxVersion() + 1
	}
	return db, nil
}

// linkTables links to the intact tables.
func (v *View) linkTables() error {
	from, err := filepath.Abs(v.of.dir)
	if err != nil {
		return err
	}
	for id := range v.tables {
		if e := v.of.examined[id]; e == nil || e.problem != "" {
			continue // writeIntact wrote it
		}
		if err := os.Symlink(TablePath(from, id), TablePath(v.dir, id)); err != nil {
			return err
		}
	}
	return nil
}

// copyWALs copies the WALs up to the first damage. Later transactions would
// lack the lost ones, see [quarantineWAL].
func (v *View) copyWALs() error {
	for _, name := range v.of.walNames() {
		path := v.of.path(name)
		end, intact, err := endOfWAL(path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if end > walHeader { // Badger would remove an empty one
			if err := copyWAL(filepath.Join(v.dir, name), path, end); err != nil {
				return err
			}
		}
		if !intact {
			break
		}
	}
	return nil
}

// copyWAL copies the first n bytes of a WAL, with a repaired header.
func copyWAL(to, from string, n int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, in, n)
	if err == nil {
		_, err = out.WriteAt(make([]byte, logKeySize), 0)
	}
	return errors.Join(err, out.Close())
}

// WriteEdits writes all edits into one table, which replaces the table of
// earlier edits. [View.Open] must have been called once, because it determines
// the version of the edits. No database of the view may be open.
func (v *View) WriteEdits() error {
	if len(v.Edits) == 0 {
		return nil
	}
	if v.edited == 0 {
		v.edited = v.of.next
		v.of.next++
		v.tables[v.edited] = badger.TableManifest{Compression: options.ZSTD}
	}
	_, err := table.Write(TablePath(v.dir, v.edited), func(yield func(table.Entry, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(v.Edits)) {
			e := v.Edits[k]
			entry := table.Entry{Key: []byte(k), Version: v.version, ExpiresAt: e.Expires, Value: e.Value}
			if e.Removed {
				entry.ExpiresAt, entry.Value = 1, nil // expired since 1970
			}
			if !yield(entry, nil) {
				return
			}
		}
	})
	return errors.Join(err, writeManifest(v.dir, v.tables))
}

// DamagedDir is the directory of the damaged files, in the storage directory.
// They are kept until the operator removes them.
const DamagedDir = "damaged"

// Install replaces the damaged tables of the database by those of the view, in
// these steps:
//
//  1. Keep the damaged files in [DamagedDir].
//  2. Move the new tables into the directory, and sync it.
//  3. Repair the headers of logs.
//  4. Replace the manifest.
//  5. Remove the damaged files under their own names.
//
// A crash before step 4 leaves the database as it was. A crash after step 4
// leaves the repaired one. Unnamed files may be left.
func (v *View) Install() error {
	s := v.of
	if err := s.keepDamaged(); err != nil {
		return fmt.Errorf("keep the damaged files: %w", err)
	}
	made := s.newTables()
	if v.edited != 0 {
		made = append(made, v.edited)
	}
	for _, id := range made {
		if err := os.Rename(TablePath(v.dir, id), TablePath(s.dir, id)); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(s.dir); err != nil {
		return err
	}
	for _, name := range s.badHeaders {
		if err := rewriteLogHeader(s.path(name)); err != nil {
			return err
		}
	}
	if s.resetManifest || len(made) > 0 || len(s.damaged) > 0 {
		if err := writeManifest(s.dir, v.tables); err != nil {
			return err
		}
	}
	return s.removeDamaged()
}

// keepDamaged links or copies the damaged files into [DamagedDir].
func (s *Salvage) keepDamaged() error {
	to := s.path(DamagedDir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	names := slices.Concat(s.regenerated, s.badHeaders)
	for _, e := range s.damaged {
		names = append(names, tableName(e.id))
	}
	for _, name := range names {
		err := keep(s.path(name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.Join(durable.SyncDir(to), durable.SyncDir(s.dir))
}

// keep links a table, which is never written again, and copies any other file.
// It also copies a table if the file system has no links. If the name is taken,
// it appends a number.
func keep(from, to string) error {
	name := to
	for n := 1; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.%d", to, n)
	}
	if filepath.Ext(from) == ".sst" && os.Link(from, name) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := durable.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Discard())
	}
	return out.Commit()
}

// removeDamaged removes the damaged files, which keepDamaged kept. The manifest
// was replaced, and logs were repaired in place.
func (s *Salvage) removeDamaged() error {
	var names []string
	for _, e := range s.damaged {
		names = append(names, tableName(e.id))
	}
	for _, name := range s.regenerated {
		if name != manifestFile {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(s.dir)
}
