package store

import (
	"context"
	"errors"
	"os"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Inspection is a log that is looked at in a directory of its own. The directory that it is in is not changed, and may be on a volume
// that can't be written to. What is damaged is answered as a repair would leave it: whole, with gaps for what is lost.
type Inspection struct {
	*Store

	view   *view
	report *Report
	lock   *dirLock
}

// Inspect opens a log for reading only, whatever of it is damaged. It takes a temporary directory with room for what is sound of the
// damaged files and for the write-ahead logs, at most some MB. Nobody may write to the log meanwhile.
func Inspect(ctx context.Context, dir string, opts Options) (i *Inspection, err error) {
	opts = withDefaults(opts)
	lock, err := lockToRead(dir)
	if err != nil {
		return nil, err
	}
	i = &Inspection{lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.release())
		}
	}()
	if err := errors.Join(checkFinished(dir), checkNotImported(dir)); err != nil {
		return nil, err
	}
	found, err := examine(ctx, dir)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, noHistory(dir)
	}
	p, err := prepareSomewhere(ctx, found, opts)
	if err != nil {
		return nil, err
	}
	i.view, i.report = p.view, p.report
	if i.Store, err = p.view.open(); err == nil {
		err = i.loadViewed(opts)
	}
	if err != nil {
		return nil, errors.Join(err, p.view.remove())
	}
	return i, nil
}

// prepareSomewhere prepares a repair in the temporary directory or, if that can't be written to, in the storage directory.
func prepareSomewhere(ctx context.Context, found *salvage, opts Options) (*repair, error) {
	p, err := prepare(ctx, found, "", opts)
	if err == nil || !errors.Is(err, errNoRoom) {
		return p, err
	}
	if p, again := prepare(ctx, found, found.dir, opts); again == nil {
		return p, nil
	}
	return nil, history.Errorf(history.Invalid, "%v: set TMPDIR to a directory that can be written to", err)
}

// loadViewed takes up what the log says of itself.
func (s *Store) loadViewed(opts Options) error {
	s.retention = opts.Retention
	return s.db.View(func(txn *badger.Txn) error {
		version, err := get(txn, key.Format())
		if errors.Is(err, badger.ErrKeyNotFound) {
			return history.Errorf(history.Invalid, "%s does not hold a history", s.dir)
		}
		if err != nil {
			return err
		}
		if err := checkFormat(version, s.dir); err != nil {
			return err
		}
		return s.restore(txn)
	})
}

// Report returns what a repair would do.
func (i *Inspection) Report() *Report { return i.report }

// Close ends the inspection and removes its directory.
func (i *Inspection) Close() error {
	return errors.Join(i.Store.Close(), i.view.remove(), i.lock.release())
}

// lockToRead locks a directory against whoever would write to it. A file system without locks has nobody who could.
func lockToRead(dir string) (*dirLock, error) {
	lock, err := lockDir(dir)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, errLocked):
		return nil, inUse(dir)
	case history.CodeOf(err) == history.Invalid:
		return nil, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, noHistory(dir)
	default:
		return nil, history.Errorf(history.Invalid, "storage directory %s can't be read: %v", dir, err)
	}
}
