package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/internal/container"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// The spare copy is a file beside the database with what there is once a log and what nothing else in it tells: the key that secret
// values are hashed with, what numbers stand for, the catalogue, and the gaps. All of that is small and mostly stands in one block of
// one table, so that one flipped bit would cost all of it.
//
// It may be older than the database. It is written again when the log is opened and closed, while it is pruned, and some time after
// numbers were given out.
const (
	spareFile  = "SPARE"
	spareMagic = "watchhistory spare\n"
	spareFrame = 'E'
)

// maxSpare bounds the spare copy, in bytes before it is compressed. What goes beyond that is not in it.
const maxSpare = 16 << 20

// spareEvery is how long after a spare copy numbers that were given out since are worth another one.
const spareEvery = 10 * time.Second

// spare is a spare copy that was read.
type spare struct {
	entries  []spareEntry
	state    codec.State
	observed map[uint16]uint64 // times of checkpoints, by resource
}

type spareEntry struct {
	key, value []byte
	expires    uint64
}

// copySpare writes the spare copy, if what it holds has changed. It is no error of the log that it can't: the database has all of it.
func (s *Store) copySpare() {
	if s.failed != nil || s.endless {
		return
	}
	s.spareNumbers, s.sparedAt = s.numbersGiven(), s.now()
	b, err := s.spareBytes()
	if err == nil && !bytes.Equal(b, s.spared) {
		if err = writeSpare(s.dir, b); err == nil {
			s.spared = b
		}
	}
	if err != nil {
		s.log.Warn("write the spare copy of the key and the dictionaries failed", "err", err)
	}
}

// numbersGiven returns the highest numbers that were given out.
func (s *Store) numbersGiven() [3]uint32 {
	return [3]uint32{s.state.Resources, s.state.Namespaces, s.state.Kinds}
}

// spareBytes returns the entries of the spare copy. It is made while the log is closed, too.
func (s *Store) spareBytes() (b []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		for _, prefix := range [][]byte{key.Once(), dictionaryPrefix(), key.Catalogue(), checkpointPrefix(), key.Ledger()} {
			if b, err = appendPrefix(b, txn, prefix); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
}

func appendPrefix(b []byte, txn *badger.Txn, prefix []byte) ([]byte, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid() && len(b) < maxSpare; it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			b = appendEntry(b, item.Key(), v, item.ExpiresAt())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendEntry appends a key with its expiry and value, as backups have them.
func appendEntry(b, k, v []byte, expires uint64) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
	b = binary.AppendUvarint(b, expires)
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func writeSpare(dir string, b []byte) error {
	f, err := durable.Create(filepath.Join(dir, spareFile))
	if err != nil {
		return err
	}
	defer func() { _ = f.Discard() }()
	w, err := container.NewWriter(f, spareMagic)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		n := min(len(b), container.MaxPayload)
		if err := w.Write(spareFrame, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	if err := w.Close(); err != nil {
		return err
	}
	return f.Commit()
}

// readSpare returns the spare copy of a directory; nil if there is none that can be used.
func readSpare(dir string) (*spare, error) {
	f, err := os.Open(filepath.Join(dir, spareFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := container.NewReader(f, spareMagic)
	if err != nil {
		return nil, damagedOnly(err)
	}
	defer r.Close()
	var all []byte
	for {
		_, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damagedOnly(err)
		}
		if all = append(all, payload...); len(all) > 2*maxSpare {
			return nil, nil
		}
	}
	return parseSpare(all), nil
}

func damagedOnly(err error) error {
	if errors.Is(err, container.ErrForeign) || errors.Is(err, container.ErrTruncated) || errors.Is(err, container.ErrCorrupt) {
		return nil
	}
	return fmt.Errorf("read the spare copy: %w", err)
}

// parseSpare returns nil for what is no spare copy.
func parseSpare(b []byte) *spare {
	sp := &spare{observed: map[uint16]uint64{}}
	for len(b) > 0 {
		k, v, expires, rest, err := nextEntry(b)
		if err != nil {
			return nil
		}
		b = rest
		sp.entries = append(sp.entries, spareEntry{k, v, expires})
		switch {
		case bytes.Equal(k, key.State()):
			if sp.state, err = codec.DecodeState(v); err != nil {
				return nil
			}
		case bytes.HasPrefix(k, checkpointPrefix()) && len(k) == 3:
			if _, at, err := codec.DecodeCheckpoint(v); err == nil {
				sp.observed[binary.BigEndian.Uint16(k[1:])] = timestamp(at)
			}
		}
	}
	return sp
}
