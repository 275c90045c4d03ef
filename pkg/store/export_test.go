package store

import (
	"errors"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// Cool makes an open log read its files again. It waits until the tables that
// existed at the opening are verified, and opens the database again, so that
// Badger has no blocks in its cache. It compacts all tables, so that they are
// not compacted again soon. No other call may use the log meanwhile.
func Cool(s *Store) (err error) {
	<-s.integrity.stopped
	if err := errors.Join(Compact(s.db), s.db.Close()); err != nil {
		return err
	}
	s.db, err = badgerdir.Open(s.dir, s.opts.badger())
	s.integrity.db = s.db
	return err
}

// CompactAfterDamage damages the table with a path by calling damage, and
// compacts the table after the damage is found, and before it is repaired. It
// returns when the log is repaired. The memtable must contain data. No other
// call may use the log meanwhile.
func CompactAfterDamage(s *Store, path string, damage func()) error {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	damage()
	s.onDamage(s.integrity.damage(path, table.ErrDamaged)) // the repair waits for release
	err = Compact(s.db)
	release()
	if waited := s.repairs.wait(); !errors.Is(waited, errClosed) { // errClosed: it has ended
		err = errors.Join(err, waited)
	}
	return err
}

// Compact moves the memtable and all tables of level 0 to a lower level, and
// all tables to one level.
func Compact(db *badger.DB) error {
	unused := []byte{0xff} // dropping a key compacts level 0
	return errors.Join(
		db.Update(func(txn *badger.Txn) error { return txn.Set(unused, nil) }),
		db.DropPrefix(unused),
		db.Flatten(1),
	)
}
