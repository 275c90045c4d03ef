package store

import (
	"context"
	"errors"
	"os"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// view reads a damaged log as a repair leaves it, without a change to the log.
// The repair adds its edits to the view in phases, and each phase reads the
// edits of the earlier ones.
type view struct {
	*badgerdir.View

	spare *spare // nil: none
	opts  Options
}

// errReadOnly rejects batches for a log that was opened by [Inspect].
var errReadOnly = history.Errorf(history.Invalid, "this history is open for reading only")

// newView creates a view in a new directory in parent. The caller must remove
// it. sp is nil if the log has no spare copy.
func newView(ctx context.Context, of *badgerdir.Salvage, sp *spare, parent string, opts Options) (*view, error) {
	v, err := badgerdir.NewView(ctx, of, parent)
	if err != nil {
		return nil, err
	}
	return &view{v, sp, opts}, nil
}

// open opens the log for reading, with the edits that were written. All its
// files are verified already.
func (v *view) open() (*Store, error) {
	bodies, err := codec.NewBodies()
	if err != nil {
		return nil, err
	}
	db, err := v.Open(v.opts.badger())
	if err != nil {
		bodies.Close()
		return nil, err
	}
	s := newStore(db, v.Dir(), v.opts, bodies)
	s.integrity = intactTables()
	s.failed = errReadOnly
	// The log's state may be lost, so every time is visible.
	s.last.Store(key.MaxTS - 1)
	_ = db.View(func(txn *badger.Txn) error { // never fails
		s.oldest.Store(firstDay(txn))
		return nil
	})
	return s, nil
}

// apply calls f with a reader of the log with the edits that were written, and
// writes the edits that f adds. Like read, it rejects a log of another format.
func (v *view) apply(f func(*reader) error) error {
	err := v.read(func(r *reader) error {
		if err := r.loadFloor(); err != nil {
			return err
		}
		return f(r)
	})
	if err != nil {
		return err
	}
	return v.WriteEdits()
}

// read calls f with a reader of the log with the edits that were written. If
// the log has another format, it returns a [history.Invalid] error and does not
// call f. It opens the database for each call, because Badger finds the table
// with the edits only when it opens.
func (v *view) read(f func(*reader) error) error {
	s, err := v.open()
	if err != nil {
		return err
	}
	err = s.db.View(func(txn *badger.Txn) error {
		if err := v.checkFormat(txn); err != nil {
			return err
		}
		return f(s.newReader(txn))
	})
	return errors.Join(err, s.Close())
}

// checkFormat returns a [history.Invalid] error if the log has another format.
// If the key of the format is lost, that of the spare copy counts.
//
// Nothing else may be read before: the values of another format can't be
// decoded, so a repair would drop all its versions as lost.
func (v *view) checkFormat(txn *badger.Txn) error {
	stored, err := get(txn, key.Format())
	if errors.Is(err, badger.ErrKeyNotFound) {
		stored, err = v.spare.value(key.Format()), nil
	}
	if err != nil || stored == nil {
		return err
	}
	return checkFormat(stored, v.Salvage().Dir())
}

// unlimited returns options with which the whole log is read, whatever its age.
func unlimited(o Options) Options {
	o.Retention, o.MaxBytes = 100*365*24*time.Hour, 0
	return o
}

// Inspection is a log that is open for reading only. It shows a damaged log as
// a repair would leave it, with gaps for the lost versions. Its directory is
// not changed, and may be on a read-only volume.
type Inspection struct {
	*Store

	view   *view
	report *Report
	lock   *badgerdir.Lock
}

// Inspect opens a log for reading only, even if it is damaged. No process may
// write to the log until [Inspection.Close] is called.
//
// It creates a temporary directory with the intact blocks of damaged tables and
// with the write-ahead logs, usually a few MB. If the system's directory for
// temporary files can't be used, it creates it in the log's directory.
func Inspect(ctx context.Context, dir string, opts Options) (i *Inspection, err error) {
	opts = withDefaults(opts)
	lock, err := badgerdir.LockForReading(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, noHistory(dir)
	}
	if err != nil {
		return nil, err
	}
	i = &Inspection{lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Release())
		}
	}()
	if err := errors.Join(checkRestored(dir), checkNotImported(dir)); err != nil {
		return nil, err
	}
	found, err := badgerdir.Examine(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, noHistory(dir)
	}
	p, err := prepareInTempDir(ctx, found, opts)
	if err != nil {
		return nil, err
	}
	i.view, i.report = p.view, p.report
	if i.Store, err = p.view.open(); err == nil {
		err = i.loadReadOnly(opts)
	}
	if err != nil {
		return nil, errors.Join(err, p.view.Remove())
	}
	return i, nil
}

// prepareInTempDir prepares a repair in the directory for temporary files. If
// that can't be written, it uses the log's directory.
func prepareInTempDir(ctx context.Context, found *badgerdir.Salvage, opts Options) (*repair, error) {
	p, err := prepare(ctx, found, "", opts)
	if err == nil || !errors.Is(err, ErrNoDirectory) {
		return p, err
	}
	if p, retryErr := prepare(ctx, found, found.Dir(), opts); retryErr == nil {
		return p, nil
	}
	return nil, history.Errorf(history.Invalid, "%w", err)
}

// loadReadOnly checks the format, and loads the log's state. It replaces the
// unlimited retention by that of opts.
func (s *Store) loadReadOnly(opts Options) error {
	s.retention = opts.Retention
	return s.db.View(func(txn *badger.Txn) error {
		version, err := get(txn, key.Format())
		if errors.Is(err, badger.ErrKeyNotFound) {
			return noHistory(s.dir)
		}
		if err != nil {
			return err
		}
		if err := checkFormat(version, s.dir); err != nil {
			return err
		}
		return s.loadState(txn)
	})
}

// Report returns what a repair would do.
func (i *Inspection) Report() *Report { return i.report }

// Close closes the log, removes the temporary directory, and releases the lock.
func (i *Inspection) Close() error {
	return errors.Join(i.Store.Close(), i.view.Remove(), i.lock.Release())
}
