package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// unfinished is the file that a directory has as long as it is being restored. No log is opened beside it.
const unfinished = "RESTORING"

// Restore makes a log in a directory, which must be empty or not there, of a full backup and those that were made since, each from
// the one before, in this order. It reads each to its end, and checks that it is whole. When it fails, the directory can't be
// opened, and has to be emptied before another try.
//
// The log's heads and checkpoints are those of the last backup; versions expire when they would have in the log that was backed
// up. Of its options, the retention says nothing here. It returns the position that the log has reached.
func Restore(ctx context.Context, dir string, opts Options, progress Progress, backups ...io.Reader) (_ Position, err error) {
	if len(backups) == 0 {
		return Position{}, history.Errorf(history.Invalid, "no backup is given to restore")
	}
	opts = withDefaults(opts)
	opts.NoSync = true // until all is there
	lock, err := claim(dir)
	if err != nil {
		return Position{}, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	if err := checkEmpty(dir); err != nil {
		return Position{}, err
	}
	if err := mark(dir, unfinished); err != nil {
		return Position{}, unwritable(dir, err)
	}
	db, err := openDB(dir, opts)
	if err != nil {
		return Position{}, err
	}
	r := &restoration{ctx: ctx, db: db, progress: progress}
	err = r.all(backups)
	if err == nil {
		err = db.Sync()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return Position{}, fmt.Errorf("restore into %s: %w", dir, err)
	}
	return r.reached, unmark(dir)
}

// checkEmpty refuses a directory that holds something. A volume's own directory does not count.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return unwritable(dir, err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			return history.Errorf(history.Invalid,
				"storage directory %s is not empty: a backup is restored into an empty or a new directory only", dir)
		}
	}
	return nil
}

// mark makes a directory one that no log is opened in, by a file that says why.
func mark(dir, file string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), durable.SyncDir(dir))
}

func unmark(dir string) error {
	if err := errors.Join(os.Remove(filepath.Join(dir, unfinished)), durable.SyncDir(dir)); err != nil {
		return fmt.Errorf("finish the restore into %s: %w", dir, err)
	}
	return nil
}

// checkFinished refuses a directory whose restore broke off.
func checkFinished(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, unfinished)); err != nil {
		return nil //nolint:nilerr // there is no such file, or what keeps it from being read shows where the database is opened
	}
	return history.Errorf(history.Invalid,
		"storage directory %s holds a part of a backup only, because its restore broke off: empty it and restore again, or set storagePath (BADGER_PATH) to another directory",
		dir)
}

// restoration is a log that is being made of backups.
type restoration struct {
	ctx      context.Context //nolint:containedctx // of one call
	db       *badger.DB
	progress Progress
	reached  Position
	entries  int64 // of all backups
	bytes    int64
}

func (r *restoration) all(backups []io.Reader) error {
	var days []uint16
	for i, b := range backups {
		f, err := r.one(b, i == len(backups)-1)
		if err != nil {
			return fmt.Errorf("backup %d of %d: %w", i+1, len(backups), err)
		}
		days = f.Days
	}
	return r.keepOnly(days)
}

// one reads a backup. What belongs to no day is taken from the last one only, which has all of it.
func (r *restoration) one(b io.Reader, last bool) (footer, error) {
	in, err := openBackup(b)
	if err != nil {
		return footer{}, err
	}
	defer in.r.Close()
	if in.From != r.reached {
		return footer{}, outOfOrder(in.From, r.reached)
	}
	batch := r.db.NewWriteBatch()
	defer batch.Cancel()
	f, err := in.entries(func(k, v []byte, expires uint64) error {
		r.entries, r.bytes = r.entries+1, r.bytes+int64(len(k)+len(v))
		if !last && k[0] != key.History {
			return nil
		}
		return batch.SetEntry(&badger.Entry{Key: bytes.Clone(k), Value: bytes.Clone(v), ExpiresAt: expires})
	}, func() error {
		if r.progress != nil {
			r.progress(r.entries, r.bytes)
		}
		return r.ctx.Err()
	})
	if err != nil {
		return f, err
	}
	r.reached = in.To
	return f, batch.Flush()
}

func outOfOrder(from, reached Position) error {
	switch {
	case reached.IsZero():
		return history.Errorf(history.Invalid, "it is an incremental one, and goes on from another: name the full backup first")
	case from.IsZero():
		return history.Errorf(history.Invalid, "it is a full one: only the first may be")
	default:
		return history.Errorf(history.Invalid, "it does not go on from where the one before ends: name them in the order in which they were made")
	}
}

// keepOnly drops the days that the log had dropped when the last backup was made.
func (r *restoration) keepOnly(days []uint16) error {
	var gone [][]byte
	err := r.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			e, err := key.Decode(it.Item().Key())
			if err != nil {
				return err
			}
			day := key.Day(e.TS)
			if _, kept := slices.BinarySearch(days, day); !kept {
				gone = append(gone, key.DayPrefix(day))
			}
			it.Seek(key.DayPrefix(day + 1))
		}
		return nil
	})
	if err != nil || len(gone) == 0 {
		return err
	}
	return r.db.DropPrefix(gone...)
}
