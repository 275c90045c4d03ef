package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// backupMagic is what a backup begins with.
const backupMagic = "watchhistory backup\n"

// The kinds of a backup's frames, in the order in which they come.
const (
	backupHeader  = 'H' // once
	backupEntries = 'E' // any number of times
	backupFooter  = 'F' // once
)

// backupChunk is the number of bytes of entries in a frame past which it is written.
const backupChunk = 512 << 10

// header is the payload of a backup's first frame.
type header struct {
	Format  uint16    `json:"format"` // of the database
	From    Position  `json:"from"`   // zero: a full backup
	To      Position  `json:"to"`
	Created time.Time `json:"created"`
}

// footer is the payload of a backup's last frame.
type footer struct {
	Entries uint64   `json:"entries"`
	Days    []uint16 `json:"days"` // of which the log has versions; those of an earlier backup that are not among them are gone
}

// Progress takes how far a long operation has come: the number of entries done, and of bytes written or read. It is called often,
// by one goroutine.
type Progress func(entries, bytes int64)

// Backup writes the log as it is now: all of it or, with a position that an earlier backup reached, what has come since. Beside
// appends, which it stops for no longer than one of them takes, it holds back Close, which ends it with an error, and the space
// of what is dropped meanwhile. It returns the position that an incremental backup can go on from. A position of another log, or
// one whose record is dropped, is a [history.Invalid] error; then nothing is written.
//
// What is written holds the key that secret values are hashed with.
func (s *Store) Backup(ctx context.Context, w io.Writer, from Position, progress Progress) (Position, error) {
	release, err := s.use()
	if err != nil {
		return Position{}, err
	}
	defer release()
	if err := s.sound.check(keyRange{}); err != nil { // a damaged block would be left out
		return Position{}, err
	}
	txn, it, to := s.frozen()
	defer txn.Discard()
	defer it.Close()
	if err := s.follows(txn, from, to); err != nil {
		return Position{}, err
	}
	f, err := container.NewWriter(w, backupMagic)
	if err != nil {
		return Position{}, fmt.Errorf("backup: %w", err)
	}
	b := &backup{s: s, ctx: ctx, w: f, from: from, progress: progress}
	if err := errors.Join(b.run(it, to), f.Close()); err != nil {
		return Position{}, fmt.Errorf("backup: %w", err)
	}
	return to, nil
}

// snapshot begins to read the log while no batch is half committed, so that nothing that comes later is dated before the
// position.
func (s *Store) snapshot() (*badger.Txn, Position) {
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.db.NewTransaction(false), Position{Log: s.id(), Time: s.state.Last}
}

// frozen begins to read the log as [Store.snapshot] does, with an iterator over all keys that sees what is dropped from now on: a
// transaction alone does not.
func (s *Store) frozen() (*badger.Txn, *badger.Iterator, Position) {
	s.commits.Lock()
	defer s.commits.Unlock()
	txn := s.db.NewTransaction(false)
	return txn, txn.NewIterator(badger.IteratorOptions{}), Position{Log: s.id(), Time: s.state.Last}
}

// follows checks that what came after the position is all here. The record of that time tells this log from a copy of it that
// went on by itself.
func (s *Store) follows(txn *badger.Txn, from, to Position) error {
	if from.IsZero() {
		return nil
	}
	if from.Log != to.Log {
		return history.Errorf(history.Invalid, "the earlier backup is of another history: make a full backup")
	}
	if from.Time == 0 {
		return nil // there was no record yet
	}
	e := key.Entry{Class: key.ByTime}
	prefix := binary.BigEndian.AppendUint64(e.Prefix(key.Day(from.Time)), from.Time)
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	if it.Rewind(); !it.Valid() {
		return history.Errorf(history.Invalid,
			"the newest version in the earlier backup, of %s, is not in this history any more, or never was: make a full backup",
			moment(from.Time).Format(time.RFC3339))
	}
	return nil
}

// backup is one that is being written.
type backup struct {
	s        *Store
	ctx      context.Context //nolint:containedctx // of one call
	w        *container.Writer
	from     Position
	progress Progress

	chunk []byte // entries that are not written yet
	footer
}

func (b *backup) run(it *badger.Iterator, to Position) error {
	h := header{Format: format, From: b.from, To: to, Created: time.Now().UTC().Truncate(time.Second)}
	if err := b.document(backupHeader, h); err != nil {
		return err
	}
	if err := b.entries(it); err != nil {
		return err
	}
	if err := b.flush(); err != nil {
		return err
	}
	return b.document(backupFooter, b.footer)
}

func (b *backup) document(kind byte, of any) error {
	payload, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return b.w.Write(kind, payload)
}

// entries goes over all keys with one iterator: a second one would not see what is dropped in between. Days before the position
// are only counted; everything that belongs to no day is small, and always written.
func (b *backup) entries(it *badger.Iterator) error {
	first := key.DayPrefix(key.Day(b.from.Time))
	for it.Rewind(); it.Valid(); {
		if err := b.s.goesOn(b.ctx); err != nil {
			return err
		}
		item := it.Item()
		e, historical, err := entryOf(item.Key())
		if err != nil {
			return err
		}
		if historical {
			day := key.Day(e.TS)
			b.day(day)
			if !b.from.IsZero() && slices.Compare(item.Key()[:3], first) < 0 {
				it.Seek(key.DayPrefix(day + 1))
				continue
			}
		}
		if !historical || b.from.IsZero() || e.TS > b.from.Time || e.Class == key.Phrase {
			if err := b.entry(item); err != nil {
				return err
			}
		}
		it.Next()
	}
	return nil
}

// goesOn returns an error where a long operation has to end.
func (s *Store) goesOn(ctx context.Context) error {
	return cmp.Or(s.ended(), ctx.Err())
}

// entryOf takes a key apart where it belongs to a version.
func entryOf(k []byte) (e key.Entry, historical bool, err error) {
	if len(k) == 0 || k[0] != key.History {
		return e, false, nil
	}
	if e, err = key.Decode(k); err != nil {
		return e, true, fmt.Errorf("key %x: %w", k, err)
	}
	return e, true, nil
}

func (b *backup) day(day uint16) {
	if n := len(b.Days); n == 0 || b.Days[n-1] != day {
		b.Days = append(b.Days, day)
	}
}

func (b *backup) entry(item *badger.Item) error {
	k := item.Key()
	b.chunk = append(binary.AppendUvarint(b.chunk, uint64(len(k))), k...)
	b.chunk = binary.AppendUvarint(b.chunk, item.ExpiresAt())
	err := item.Value(func(v []byte) error {
		b.chunk = append(binary.AppendUvarint(b.chunk, uint64(len(v))), v...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read key %x: %w", k, err)
	}
	if b.Entries++; len(b.chunk) < backupChunk {
		return nil
	}
	return b.flush()
}

func (b *backup) flush() error {
	if len(b.chunk) == 0 {
		return nil
	}
	if err := b.w.Write(backupEntries, b.chunk); err != nil {
		return err
	}
	b.chunk = b.chunk[:0]
	if b.progress != nil {
		b.progress(int64(b.Entries), b.w.Size())
	}
	return nil
}
