package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// view is a directory with which another one's database is read, without a change to it: links to its sound tables, what is sound of
// the others, copies of its write-ahead logs up to what is damaged in them, and one table with what a repair changes.
//
// Badger opens it for reading only, so that nothing in it is compacted or removed.
type view struct {
	dir     string
	of      *salvage
	opts    Options
	tables  map[uint64]badger.TableManifest
	edits   map[string]edit
	version uint64 // of the database, that the edits get; above all that was written
	edited  uint64 // number of the table with the edits; 0: there is none
}

// edit is the value that a repair gives a key. A removed key has none.
type edit struct {
	value   []byte
	expires uint64
	removed bool
}

// errViewed is what a log answers that is only looked at.
var errViewed = history.Errorf(history.Invalid, "this history is open for reading only")

// errNoRoom is wrapped by the error of a view for which no directory can be made.
var errNoRoom = errors.New("make a directory to read the history with")

// newView makes a view of what was examined, in a new directory in parent. The caller removes it.
func newView(ctx context.Context, of *salvage, parent string, opts Options) (v *view, err error) {
	dir, err := os.MkdirTemp(parent, viewPrefix+"*")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoRoom, err)
	}
	v = &view{dir: dir, of: of, opts: opts, edits: map[string]edit{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.remove())
		}
	}()
	if v.tables, err = of.replace(ctx, dir); err != nil {
		return nil, err
	}
	if err := errors.Join(v.link(), v.copyLogs(), writeManifest(dir, v.tables)); err != nil {
		return nil, err
	}
	return v, nil
}

// viewPrefix is what the names of views begin with.
const viewPrefix = ".view-"

func (v *view) remove() error { return os.RemoveAll(v.dir) }

// link makes links to the sound tables.
func (v *view) link() error {
	from, err := filepath.Abs(v.of.dir)
	if err != nil {
		return err
	}
	for id := range v.tables {
		if e := v.of.all[id]; e == nil || e.problem != "" {
			continue
		}
		if err := os.Symlink(tablePath(from, id), tablePath(v.dir, id)); err != nil {
			return err
		}
	}
	return nil
}

// copyLogs copies the write-ahead logs up to what is damaged in one of them; what comes later would lack what is lost.
func (v *view) copyLogs() error {
	logs := slices.DeleteFunc(slices.Clone(v.of.files.logs), func(name string) bool { return filepath.Ext(name) != ".mem" })
	slices.Sort(logs)
	for _, name := range logs {
		path := filepath.Join(v.of.dir, name)
		end, sound, err := endOfLog(path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if end > logHeader { // Badger would remove an empty one
			if err := copyStart(filepath.Join(v.dir, name), path, end); err != nil {
				return err
			}
		}
		if !sound {
			break
		}
	}
	return nil
}

// copyStart copies the beginning of a log. What it is encrypted with, nothing, is written anew.
func copyStart(to, from string, n int64) error {
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
		_, err = out.WriteAt(make([]byte, logKey), 0)
	}
	return errors.Join(err, out.Close())
}

// open opens the log for reading, as it is with the edits so far.
func (v *view) open() (*Store, error) {
	bodies, err := codec.NewBodies()
	if err != nil {
		return nil, err
	}
	db, err := badger.Open(tuned(v.dir, v.opts).WithReadOnly(true).WithMemTableSize(earlierMemtable).WithNumMemtables(mostMemtables + 2))
	if err != nil {
		bodies.Close()
		return nil, fmt.Errorf("open the database in %s for reading: %w", v.of.dir, err)
	}
	s := newStore(db, v.dir, v.opts, bodies)
	s.sound = wholeTables()
	s.failed = errViewed
	s.last.Store(key.MaxTS - 1)
	_ = db.View(func(txn *badger.Txn) error { // which can't fail
		s.oldest.Store(oldestDay(txn))
		return nil
	})
	if v.version == 0 {
		v.version = db.MaxVersion() + 1
	}
	return s, nil
}

// apply calls f with a reader of the log as it is with the edits so far, and writes the edits that f adds.
func (v *view) apply(f func(*reader) error) (err error) {
	s, err := v.open()
	if err != nil {
		return err
	}
	err = s.db.View(func(txn *badger.Txn) error {
		r := s.newReader(txn)
		if err := r.enter(); err != nil {
			return err
		}
		return f(r)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	return v.write()
}

// write writes the table of the edits.
func (v *view) write() error {
	if len(v.edits) == 0 {
		return nil
	}
	if v.edited == 0 {
		v.edited = v.of.next
		v.of.next++
		v.tables[v.edited] = badger.TableManifest{Compression: options.ZSTD}
	}
	_, err := table.Write(tablePath(v.dir, v.edited), func(yield func(table.Entry, error) bool) {
		for _, k := range slices.Sorted(maps.Keys(v.edits)) {
			e := v.edits[k]
			entry := table.Entry{Key: []byte(k), Version: v.version, ExpiresAt: e.expires, Value: e.value}
			if e.removed {
				entry.ExpiresAt, entry.Value = 1, nil // as [group.remove] does
			}
			if !yield(entry, nil) {
				return
			}
		}
	})
	return errors.Join(err, writeManifest(v.dir, v.tables))
}

// endlessly are options under which all that is there is read, whatever its age.
func endlessly(o Options) Options {
	o.Retention, o.MaxBytes = 100*365*24*time.Hour, 0
	return o
}
