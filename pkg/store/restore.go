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
	"github.com/watchhistory/watchhistory/pkg/store/internal/backup"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// restoringFile is the file that marks a directory while a backup is restored
// into it. No log is opened in such a directory.
const restoringFile = "RESTORING"

// Restore creates a log from a complete backup and the incremental backups
// after it, oldest first. The directory must be empty or not exist. It returns
// the position of the last backup. progress may be nil.
//
// Heads, checkpoints and other keys that belong to no day are those of the last
// backup. Versions keep their expiry. Options.Retention is ignored.
//
// Each backup is read to its end and verified. After an error the directory
// can't be opened; the caller empties it before it tries again.
func Restore(
	ctx context.Context, dir string, opts Options, progress Progress, backups ...io.Reader,
) (_ Position, err error) {
	if len(backups) == 0 {
		return Position{}, history.Errorf(history.Invalid, "there is no backup to restore")
	}
	opts = withDefaults(opts)
	opts.NoSync = true // synced once at the end
	lock, err := badgerdir.Claim(dir)
	if err != nil {
		return Position{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := checkEmpty(dir); err != nil {
		return Position{}, err
	}
	if err := mark(dir, restoringFile); err != nil {
		return Position{}, badgerdir.Unwritable(dir, err)
	}
	db, err := badgerdir.Open(dir, opts.badger())
	if err != nil {
		return Position{}, err
	}
	r := &restoration{ctx: ctx, db: db, progress: progress}
	err = r.restoreAll(backups)
	if err == nil {
		err = db.Sync()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return Position{}, fmt.Errorf("restore into %s: %w", dir, err)
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, restoringFile)), durable.SyncDir(dir)); err != nil {
		return Position{}, fmt.Errorf("finish the restore into %s: %w", dir, err)
	}
	return r.reached, nil
}

// checkEmpty rejects a directory with files. It ignores lost+found, which a new
// volume contains.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return badgerdir.Unwritable(dir, err)
	}
	for _, e := range entries {
		if e.Name() != "lost+found" {
			return history.Errorf(history.Invalid, "storage directory %s is not empty", dir)
		}
	}
	return nil
}

// mark creates a file that prevents a log in the directory from being opened.
func mark(dir, file string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), durable.SyncDir(dir))
}

// marked reports whether a directory contains the file of [mark]. If it can't
// be read, opening the database reports the error.
func marked(dir, file string) bool {
	_, err := os.Stat(filepath.Join(dir, file))
	return err == nil
}

// checkRestored rejects a directory whose restore was interrupted.
func checkRestored(dir string) error {
	if !marked(dir, restoringFile) {
		return nil
	}
	return history.WithHint(history.Errorf(history.Invalid,
		"storage directory %s contains only a part of a backup, because its restore was interrupted", dir),
		"Empty it and restore again.")
}

// restoration is a running [Restore].
type restoration struct {
	ctx      context.Context //nolint:containedctx // for one call
	db       *badger.DB
	progress Progress
	reached  Position // of the backups so far
	entries  int64    // read from all backups
	bytes    int64    // of these entries
}

// restoreAll restores the backups in their order, and drops the days that the
// last one doesn't name.
func (r *restoration) restoreAll(backups []io.Reader) error {
	var days []uint16
	for i, b := range backups {
		f, err := r.restore(b, i == len(backups)-1)
		if err != nil {
			return fmt.Errorf("backup %d of %d: %w", i+1, len(backups), err)
		}
		days = f.Days
	}
	return r.keepOnly(days)
}

// restore reads a backup and writes its entries. Keys that belong to no day are
// written only from the last backup, which contains all of them.
func (r *restoration) restore(file io.Reader, last bool) (backup.Footer, error) {
	b, err := backup.Open(file, oldFormat, format)
	if err != nil {
		return backup.Footer{}, err
	}
	defer b.Close()
	if b.From != r.reached {
		return backup.Footer{}, outOfOrder(b.From, r.reached)
	}
	batch := r.db.NewWriteBatch() // commits in the background; Flush returns its error
	defer batch.Cancel()
	f, err := b.Entries(func(k, v []byte, expires uint64) error {
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
	r.reached = b.To
	return f, batch.Flush()
}

// outOfOrder returns the error of a backup that begins at another position than
// the one that the earlier backups reached.
func outOfOrder(from, reached Position) error {
	switch {
	case reached.IsZero():
		return history.WithHint(history.Errorf(history.Invalid, "incremental, although it is the first one"),
			"Give the full backup first.")
	case from.IsZero():
		return history.Errorf(history.Invalid, "full: only the first backup may be full")
	default:
		return history.WithHint(history.Errorf(history.Invalid, "does not begin where the previous backup ends"),
			"Give the backups in the order in which they were made.")
	}
}

// keepOnly drops all days but the given ones. The log had dropped them when the
// last backup was made.
func (r *restoration) keepOnly(days []uint16) error {
	var dropped [][]byte
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
				dropped = append(dropped, key.DayPrefix(day))
			}
			it.Seek(key.DayPrefix(day + 1))
		}
		return nil
	})
	if err != nil || len(dropped) == 0 {
		return err
	}
	return r.db.DropPrefix(dropped...)
}
