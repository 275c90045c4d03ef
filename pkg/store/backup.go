package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/backup"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// Position is the end of a backup: a log and the time of its newest record. Its
// text is a token.
type Position = backup.Position

// Progress receives the number of entries that are done, and the number of
// bytes that are written or read. One goroutine calls it often.
type Progress = backup.Progress

// Backup writes a backup of the log. It is complete if from is zero. Otherwise
// it is incremental: it contains what was committed after from, the position of
// an earlier backup. Backup returns the position of the new one. progress may
// be nil.
//
// The backup shows the log as it is when Backup is called. Appends run
// concurrently; one of them may wait at the beginning. Close ends the backup
// with an error. Days that are dropped meanwhile keep their disk space until
// the backup ends.
//
// A position of another log, or one whose record was dropped, is a
// [history.Invalid] error, and then nothing is written.
//
// The backup contains the redaction key.
func (s *Store) Backup(ctx context.Context, w io.Writer, from Position, progress Progress) (Position, error) {
	release, err := s.acquire()
	if err != nil {
		return Position{}, err
	}
	defer release()
	// Badger would skip a damaged block without an error.
	if err := s.integrity.check(keyrange.Range{}); err != nil {
		return Position{}, err
	}
	txn, it, to := s.snapshotIterator()
	defer txn.Discard()
	defer it.Close()
	if err := s.checkPosition(txn, from, to); err != nil {
		return Position{}, err
	}
	h := backup.Header{Format: format, From: from, To: to, Created: time.Now().UTC().Truncate(time.Second)}
	b, err := backup.NewWriter(w, h, progress)
	if err != nil {
		return Position{}, fmt.Errorf("backup: %w", err)
	}
	days, err := s.writeBackup(ctx, b, it, from)
	if err == nil {
		err = b.Finish(days)
	}
	if err != nil {
		return Position{}, fmt.Errorf("backup: %w", err)
	}
	return to, nil
}

// snapshot returns a transaction between two batches, and its position. All
// later records are after the position.
func (s *Store) snapshot() (*badger.Txn, Position) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	return s.db.NewTransaction(false), Position{Log: s.id(), Time: s.state.Last}
}

// snapshotIterator is like [Store.snapshot], and returns an iterator over all
// keys. The iterator still returns the keys of days that are dropped after the
// call; a new iterator of the same transaction would not.
func (s *Store) snapshotIterator() (*badger.Txn, *badger.Iterator, Position) {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	txn := s.db.NewTransaction(false)
	return txn, txn.NewIterator(badger.IteratorOptions{}), Position{Log: s.id(), Time: s.state.Last}
}

// checkPosition checks that the log contains everything since a position. It
// looks for the position's record: a copy of the log that was continued
// separately has the same ID, but other records.
func (s *Store) checkPosition(txn *badger.Txn, from, to Position) error {
	if from.IsZero() {
		return nil
	}
	if from.Log != to.Log {
		return history.Errorf(history.Invalid, "the earlier backup is of another history: make a full backup")
	}
	if from.Time == 0 {
		return nil // the log had no records
	}
	e := key.Entry{Class: key.ByTime}
	prefix := binary.BigEndian.AppendUint64(e.Prefix(key.Day(from.Time)), from.Time)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	if it.Rewind(); !it.Valid() {
		return history.Errorf(history.Invalid,
			"this history does not contain the newest version of the earlier backup, of %s: make a full backup",
			moment(from.Time).Format(time.RFC3339))
	}
	return nil
}

// writeBackup adds the entries of a backup, and returns the days of which the
// log has versions.
//
// An incremental backup skips the days before its position, and versions up to
// it. Keys that belong to no day are small in total and are always written.
func (s *Store) writeBackup(
	ctx context.Context, b *backup.Writer, it *badger.Iterator, from Position,
) (days []uint16, err error) {
	full, fromDay := from.IsZero(), key.Day(from.Time)
	for it.Rewind(); it.Valid(); {
		if err := s.checkOpen(ctx); err != nil {
			return nil, err
		}
		item := it.Item()
		e, ofDay, err := dayEntry(item.Key())
		if err != nil {
			return nil, err
		}
		if ofDay {
			day := key.Day(e.TS)
			if n := len(days); n == 0 || days[n-1] != day {
				days = append(days, day)
			}
			if !full && day < fromDay {
				it.Seek(key.DayPrefix(day + 1))
				continue
			}
		}
		// The day's dictionary has no times: it is written completely.
		if !ofDay || full || e.TS > from.Time || e.Class == key.Phrase {
			var written error // which may be of earlier entries, and not of this key
			err := item.Value(func(v []byte) error {
				written = b.Add(item.Key(), v, item.ExpiresAt())
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("key %x: %w", item.Key(), err)
			}
			if written != nil {
				return nil, written
			}
		}
		it.Next()
	}
	return days, nil
}

// dayEntry decodes a key that belongs to a day. ofDay is false for other keys.
func dayEntry(k []byte) (e key.Entry, ofDay bool, err error) {
	if len(k) == 0 || k[0] != key.History {
		return e, false, nil
	}
	if e, err = key.Decode(k); err != nil {
		return e, true, fmt.Errorf("key %x: %w", k, err)
	}
	return e, true, nil
}

// ReadPosition returns the position at which a backup ends. It reads only the
// file's header. A file that is not a backup is a [history.Invalid] error.
func ReadPosition(file io.Reader) (Position, error) {
	b, err := backup.Open(file, oldFormat, format)
	if err != nil {
		return Position{}, err
	}
	defer b.Close()
	return b.To, nil
}

// id identifies the log. It is a hash of the redaction key, which can't be
// derived from it.
func (s *Store) id() (id [8]byte) {
	sum := sha256.Sum256(append([]byte("watchhistory log\x00"), s.redaction...))
	copy(id[:], sum[:])
	return id
}
