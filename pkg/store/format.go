package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// format is the version of the database's layout: of its keys and of the
// encodings of its values. docs/storage-format.md describes it. A database of
// any other format is refused.
const format = 1

// load checks the format and loads the log's state. It creates a log in an
// empty database.
func (s *Store) load(dir string) error {
	return s.db.Update(func(txn *badger.Txn) error {
		stored, err := get(txn, key.Format())
		if errors.Is(err, badger.ErrKeyNotFound) {
			return s.create(txn, dir)
		}
		if err != nil {
			return fmt.Errorf("read the database's format: %w", err)
		}
		if err := checkFormat(stored, dir); err != nil {
			return err
		}
		return s.loadState(txn)
	})
}

// encodeFormat returns the value of [key.Format].
func encodeFormat() []byte { return binary.BigEndian.AppendUint16(nil, format) }

// checkFormat checks the value of [key.Format] in the database of dir.
func checkFormat(stored []byte, dir string) error {
	if len(stored) != 2 {
		return fmt.Errorf("read the format of %s: %w", dir, codec.ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(stored); v != format {
		return history.Errorf(history.Invalid,
			"open database %s: unknown format %d, this version reads format %d", dir, v, format)
	}
	return nil
}

// create creates a log in an empty database. Any other database without a
// format belongs to another program, or has lost the key to damage.
func (s *Store) create(txn *badger.Txn, dir string) error {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	if it.Rewind(); it.Valid() {
		return history.Errorf(history.Invalid, "open database %s: it belongs to another program", dir)
	}
	// Without a key, tables mean damage: Badger skips blocks that it can't
	// read.
	if len(s.db.Tables()) > 0 {
		return history.Errorf(history.Invalid, "open database %s: it is damaged, and no key can be read", dir)
	}
	s.oldest.Store(noDay)
	s.redaction = make([]byte, redactionKeySize)
	if _, err := rand.Read(s.redaction); err != nil {
		return fmt.Errorf("create the redaction key: %w", err)
	}
	return errors.Join(
		txn.Set(key.Format(), encodeFormat()),
		txn.Set(key.Redaction(), s.redaction),
		txn.Set(key.State(), s.state.Encode()),
	)
}

// loadState loads the state and the redaction key of an existing log. The log
// is not in use yet, so it locks nothing.
func (s *Store) loadState(txn *badger.Txn) error {
	state, err := get(txn, key.State())
	if err != nil {
		return fmt.Errorf("read the log's state: %w", err)
	}
	if s.state, err = codec.DecodeState(state); err != nil {
		return fmt.Errorf("read the log's state: %w", err)
	}
	if s.redaction, err = get(txn, key.Redaction()); err != nil {
		return fmt.Errorf("read the redaction key: %w", err)
	}
	s.last.Store(s.state.Last)
	s.feed.open(s.state.Last)
	s.sessionStart = s.state.Last + 1
	oldest, err := s.oldestDay(txn)
	s.oldest.Store(oldest)
	return err
}
