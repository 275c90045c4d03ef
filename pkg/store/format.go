package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// format is the version of the database's layout: of the keys and of the values' encodings. A log of format 1 has no phrases, and in
// its indexes by resource and by namespace no metadata; it is read as it is, and what is recorded from now on is of this format. One of
// format 2 or older has no index of what stands by its owner, which it gets when it is opened.
const format = 3

// load checks the format and restores what the log goes on from. An empty database becomes a log.
func (s *Store) load(dir string) error {
	return s.db.Update(func(txn *badger.Txn) error {
		version, err := get(txn, key.Format())
		if errors.Is(err, badger.ErrKeyNotFound) {
			return s.create(txn, dir)
		}
		if err != nil {
			return fmt.Errorf("read the format version: %w", err)
		}
		if err := checkFormat(version, dir); err != nil {
			return err
		}
		if err := s.restore(txn); err != nil {
			return err
		}
		if current := binary.BigEndian.AppendUint16(nil, format); !bytes.Equal(version, current) {
			if err := errors.Join(s.indexStanding(txn), txn.Set(key.Format(), current)); err != nil {
				return fmt.Errorf("raise the format version: %w", err)
			}
		}
		return nil
	})
}

// indexStanding writes the index of the standing versions by their owners, in transactions of its own, where the volume has the room.
// Doing so again does no harm.
func (s *Store) indexStanding(txn *badger.Txn) error {
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	r, size := s.newReader(txn), maxBulk // of what is written without another look
	err := r.each(key.StandingOf(0)[:2], func(item *badger.Item) error {
		object, ts, err := key.DecodeStanding(item.Key())
		if err != nil {
			return err
		}
		meta, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		rec, _, err := r.record(key.Entry{Object: object, TS: ts}, meta)
		if err != nil {
			return nil //nolint:nilerr // a version that is damaged stands as damaged as it is
		}
		for k := range standingOwned(rec, object, ts) {
			if size += len(k) + overhead; size >= maxBulk {
				err, size = errors.Join(err, s.roomToPrune()), 0
			}
			if err == nil {
				err = batch.Set(k, nil)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return batch.Flush()
}

func checkFormat(version []byte, dir string) error {
	switch v := binary.BigEndian.Uint16(append([]byte{0, 0}, version...)[len(version):]); {
	case len(version) != 2 || v == 0:
		return fmt.Errorf("format version of %s: %w", dir, codec.ErrCorrupt)
	case v > format:
		return history.Errorf(history.Invalid,
			"storage directory %s has format %d, and this recorder knows formats up to %d: run a newer recorder, or set storagePath (BADGER_PATH) to another directory",
			dir, v, format)
	default:
		return nil
	}
}

func (s *Store) create(txn *badger.Txn, dir string) error {
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	if it.Rewind(); it.Valid() {
		return history.Errorf(history.Invalid,
			"storage directory %s holds the database of another program: set storagePath (BADGER_PATH) to another directory", dir)
	}
	if len(s.db.Tables()) > 0 { // what can't be read, Badger passes over
		return history.Errorf(history.Invalid,
			"the database in %s is damaged, and nothing in it can be read: restore a backup, or set storagePath (BADGER_PATH) to another directory", dir)
	}
	s.oldest.Store(noDay)
	s.redaction = make([]byte, redactionKey)
	if _, err := rand.Read(s.redaction); err != nil {
		return fmt.Errorf("make the redaction key: %w", err)
	}
	return errors.Join(
		txn.Set(key.Format(), binary.BigEndian.AppendUint16(nil, format)),
		txn.Set(key.Redaction(), s.redaction),
		txn.Set(key.State(), s.state.Encode()),
	)
}

func (s *Store) restore(txn *badger.Txn) error {
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
	s.opened = s.state.Last + 1
	s.oldest.Store(oldestDay(txn))
	return nil
}

// get returns a copy of a key's value, or [badger.ErrKeyNotFound].
func get(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}
