package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
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

// source is a backup that is being read.
type source struct {
	r *container.Reader
	header
}

func openBackup(b io.Reader) (*source, error) {
	r, err := container.NewReader(b, backupMagic)
	if err != nil {
		return nil, unreadable(err)
	}
	s := &source{r: r}
	if err := s.document(backupHeader, &s.header); err != nil {
		r.Close()
		return nil, err
	}
	if s.Format == 0 || s.Format > format {
		r.Close()
		return nil, history.Errorf(history.Invalid,
			"it was made of format %d, and this recorder knows formats up to %d: use a newer recorder", s.Format, format)
	}
	return s, nil
}

// unreadable says in the user's words why a backup can't be read.
func unreadable(err error) error {
	switch {
	case errors.Is(err, container.ErrForeign):
		return history.Errorf(history.Invalid, "it is no backup of watchhistory-recorder")
	case errors.Is(err, container.ErrTruncated), errors.Is(err, container.ErrCorrupt):
		return history.Errorf(history.Invalid, "it is damaged (%v): use another copy of it, or an earlier backup", err)
	default:
		return fmt.Errorf("read: %w", err)
	}
}

// document reads a frame of the kind that has to come next.
func (s *source) document(kind byte, into any) error {
	got, payload, err := s.r.Next()
	if err != nil {
		return unreadable(err)
	}
	if got != kind {
		return unreadable(container.ErrCorrupt)
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return unreadable(fmt.Errorf("%w: %w", container.ErrCorrupt, err))
	}
	return nil
}

// entries calls each for every entry, whose bytes are valid until it returns, and between for every frame. It reads up to the end.
func (s *source) entries(each func(k, v []byte, expires uint64) error, between func() error) (f footer, err error) {
	var n uint64
	for {
		kind, payload, err := s.r.Next()
		if err != nil {
			return f, unreadable(err)
		}
		if kind == backupFooter {
			err = json.Unmarshal(payload, &f)
			if err != nil || f.Entries != n {
				return f, unreadable(container.ErrCorrupt)
			}
			break
		}
		if kind != backupEntries {
			return f, unreadable(container.ErrCorrupt)
		}
		for len(payload) > 0 {
			var k, v []byte
			var expires uint64
			if k, v, expires, payload, err = nextEntry(payload); err != nil {
				return f, err
			}
			n++
			if err := each(k, v, expires); err != nil {
				return f, err
			}
		}
		if err := between(); err != nil {
			return f, err
		}
	}
	if _, _, err := s.r.Next(); !errors.Is(err, io.EOF) {
		return f, unreadable(cmp.Or(err, container.ErrCorrupt))
	}
	return f, nil
}

func nextEntry(b []byte) (k, v []byte, expires uint64, rest []byte, err error) {
	var ok1, ok2 bool
	if k, b, ok1 = field(b); !ok1 || len(k) == 0 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	expires, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	if v, b, ok2 = field(b[n:]); !ok2 {
		return nil, nil, 0, nil, unreadable(container.ErrCorrupt)
	}
	return k, v, expires, b, nil
}

// field takes a length and so many bytes off b.
func field(b []byte) (f, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size:][:n], b[size:][n:], true
}

// Position is how far a backup goes: a log, and the time of the newest record in it. As text it is a token.
type Position struct {
	Log  [8]byte // tells logs apart; copies of one are equal
	Time uint64  // in nanoseconds since 1970
}

// IsZero tells whether the position is the beginning of whatever log.
func (p Position) IsZero() bool { return p == Position{} }

// MarshalText returns the position's token: 22 letters, digits, minus and underscore; "" for the zero position.
func (p Position) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, nil
	}
	return base64.RawURLEncoding.AppendEncode(nil, binary.BigEndian.AppendUint64(p.Log[:], p.Time)), nil
}

// UnmarshalText is the inverse of [Position.MarshalText].
func (p *Position) UnmarshalText(text []byte) error {
	*p = Position{}
	if len(text) == 0 {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b) != len(p.Log)+8 {
		return history.Errorf(history.Invalid, "%q is no position of a backup", text)
	}
	copy(p.Log[:], b)
	p.Time = binary.BigEndian.Uint64(b[len(p.Log):])
	return nil
}

// String returns the position's token.
func (p Position) String() string {
	b, _ := p.MarshalText() // it never fails
	return string(b)
}

// ReachedBy returns the position that a backup reaches, of which it reads the beginning only. What is no backup is a
// [history.Invalid] error.
func ReachedBy(backup io.Reader) (Position, error) {
	in, err := openBackup(backup)
	if err != nil {
		return Position{}, err
	}
	defer in.r.Close()
	return in.To, nil
}

// id returns what tells the log from others. The key that it is made of can't be told from it.
func (s *Store) id() (id [8]byte) {
	sum := sha256.Sum256(append([]byte("watchhistory log\x00"), s.redaction...))
	copy(id[:], sum[:])
	return id
}
