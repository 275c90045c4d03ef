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
	"github.com/watchhistory/watchhistory/pkg/store/internal/backup"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// The spare copy is a file next to the database. It contains what no other key
// of the log can restore: the redaction key, the dictionaries, the catalogue,
// the checkpoints and the gaps. They are small and usually in one block of one
// table, so a single flipped bit could destroy all of them.
//
// It may be older than the database. It is written when the log is opened and
// closed, while it is pruned, and some time after new numbers were assigned.
const (
	spareFile  = "SPARE"
	spareMagic = "watchhistory spare\n"
	spareFrame = 'E'
)

// maxSpare bounds the entries of the spare copy, in bytes before compression.
// The rest is left out; the redaction key and the dictionaries come first.
const maxSpare = 16 << 20

// spareEvery is the least time between two spare copies that are written
// because of new numbers.
const spareEvery = 10 * time.Second

// spare is a decoded spare copy.
type spare struct {
	entries  []spareEntry
	state    codec.State
	observed map[uint16]uint64 // times of checkpoints, by resource
}

// spareEntry is a key of the database as it was when the copy was written.
type spareEntry struct {
	key, value []byte
	expires    uint64 // in seconds since 1970; 0: never
}

// value returns the value of a key in the copy, or nil. sp may be nil.
func (sp *spare) value(k []byte) []byte {
	if sp == nil {
		return nil
	}
	for _, e := range sp.entries {
		if bytes.Equal(e.key, k) {
			return e.value
		}
	}
	return nil
}

// copySpare writes the spare copy if its contents changed. It only logs an
// error, since the database contains all of it. The caller holds commitMu, or
// no other call uses the log.
func (s *Store) copySpare() {
	if s.failed != nil || s.noTTL {
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
		s.logger.Warn("write of the spare copy failed", "err", err)
	}
}

// numbersGiven returns the highest assigned numbers of the dictionaries.
func (s *Store) numbersGiven() [3]uint32 {
	return [3]uint32{s.state.Resources, s.state.Namespaces, s.state.Kinds}
}

// spareBytes returns the encoded entries of the spare copy. If a block with
// entries is damaged, it returns an error: the repair needs the copy that
// contains them.
func (s *Store) spareBytes() (b []byte, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		for _, prefix := range [][]byte{
			key.Globals(), dictionaryPrefix(), key.Catalogue(), checkpointPrefix(), key.AllGaps(),
		} {
			if err := s.integrity.checkPrefix(prefix); err != nil {
				return err
			}
			if b, err = appendPrefix(b, txn, prefix); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
}

// appendPrefix appends the entries with a prefix, up to maxSpare bytes.
func appendPrefix(b []byte, txn *badger.Txn, prefix []byte) ([]byte, error) {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid() && len(b) < maxSpare; it.Next() {
		item := it.Item()
		err := item.Value(func(v []byte) error {
			b = backup.AppendEntry(b, item.Key(), v, item.ExpiresAt())
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// writeSpare atomically replaces the spare copy.
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

// readSpare returns the spare copy of a directory. It returns nil if there is
// none, or if it is damaged: a repair then continues without it.
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
		return nil, ignoreDamage(err)
	}
	defer r.Close()
	var all []byte
	for {
		_, payload, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, ignoreDamage(err)
		}
		if all = append(all, payload...); len(all) > 2*maxSpare { // copySpare didn't write it
			return nil, nil
		}
	}
	return parseSpare(all), nil
}

// ignoreDamage returns nil for the error of a damaged spare copy.
func ignoreDamage(err error) error {
	if errors.Is(err, container.ErrForeign) || errors.Is(err, container.ErrTruncated) ||
		errors.Is(err, container.ErrCorrupt) {
		return nil
	}
	return fmt.Errorf("read spare copy: %w", err)
}

// parseSpare decodes a spare copy. It returns nil if it can't be decoded.
func parseSpare(b []byte) *spare {
	sp := &spare{observed: map[uint16]uint64{}}
	for len(b) > 0 {
		k, v, expires, rest, err := backup.NextEntry(b)
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
