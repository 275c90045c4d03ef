package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// format is the version of the database's layout: of its keys and of the
// encodings of its values. docs/storage-format.md describes it. A database of
// the older format is upgraded when it is opened: nothing is rewritten. Those
// of any other format are refused.
const (
	format    = 2
	oldFormat = 1 // without the index of root changes
)

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
		if err := s.loadState(txn); err != nil {
			return err
		}
		return s.upgrade(txn)
	})
}

// upgrade raises the format of an existing log whose state is loaded. The
// versions that it has so far are not in the index of root changes.
func (s *Store) upgrade(txn *badger.Txn) error {
	if _, indexed, err := rootsSince(txn); err != nil || indexed {
		return err
	}
	return errors.Join(
		txn.Set(key.RootsSince(), encodeTS(s.rootsSince)),
		txn.Set(key.Format(), encodeFormat()),
	)
}

// rootsSince returns [Store.rootsSince] as it is stored. indexed is false if no
// version is in the index of root changes, as in a log of the older format.
func rootsSince(txn *badger.Txn) (ts uint64, indexed bool, err error) {
	stored, err := get(txn, key.RootsSince())
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return math.MaxUint64, false, nil
	case err == nil && len(stored) != 8:
		err = codec.ErrCorrupt
	}
	if err != nil {
		return 0, false, fmt.Errorf("read since when root changes are indexed: %w", err)
	}
	return binary.BigEndian.Uint64(stored), true, nil
}

// encodeTS returns the value of [key.RootsSince].
func encodeTS(ts uint64) []byte { return binary.BigEndian.AppendUint64(nil, ts) }

// encodeFormat returns the value of [key.Format].
func encodeFormat() []byte { return binary.BigEndian.AppendUint16(nil, format) }

// checkFormat checks the value of [key.Format] in the database of dir.
func checkFormat(stored []byte, dir string) error {
	if len(stored) != 2 {
		return fmt.Errorf("read the format of %s: %w", dir, codec.ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(stored); v < oldFormat || v > format {
		return history.Errorf(history.Invalid,
			"open database %s: unknown format %d, this version reads formats %d to %d", dir, v, oldFormat, format)
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
		txn.Set(key.RootsSince(), encodeTS(0)),
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
	indexed := false
	if s.rootsSince, indexed, err = rootsSince(txn); err != nil {
		return err
	} else if !indexed {
		s.rootsSince = s.state.Last + 1
	}
	s.last.Store(s.state.Last)
	s.feed.open(s.state.Last)
	s.sessionStart = s.state.Last + 1
	oldest, err := s.oldestDay(txn)
	s.oldest.Store(oldest)
	return err
}
