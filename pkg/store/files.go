package store

import (
	"bytes"

	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// badger returns the options to open the database with. Values of the store
// are at most maxPart long, plus a header, and stay in the tables.
func (o Options) badger() badgerdir.Options {
	return badgerdir.Options{Logger: o.Logger, NoSync: o.NoSync, MaxBytes: o.MaxBytes, MaxValue: maxPart + 1<<10}
}

// urgentTables selects the tables that Badger may compact soon: those with keys
// that belong to no day, and those of the newest day.
func urgentTables(bounds map[uint64]badgerdir.Bounds) (ids []uint64) {
	const dayPrefix = 3 // the keyspace and the day
	newest := []byte{}
	for _, b := range bounds {
		if b.Last[0] == key.History && bytes.Compare(b.Last, newest) > 0 {
			newest = b.Last[:min(len(b.Last), dayPrefix)]
		}
	}
	for id, b := range bounds {
		if b.First[0] < key.History || b.Last[0] > key.History || bytes.Compare(b.Last, newest) >= 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// checkTableCount rejects a batch if the database may reach the number of files
// that this process may have open.
func (s *Store) checkTableCount() error { return badgerdir.CheckTableCount(s.db, s.limit, s.files) }

// checkSpace rejects a batch whose bodies have size bytes if the volume has no
// room for it.
func (s *Store) checkSpace(size int64) error { return badgerdir.CheckSpace(s.db, s.dir, size, 1) }

// checkSpaceToPrune returns an error if the volume has no room for what pruning
// writes. Pruning may use half of the space that is reserved for compactions.
// So a volume that is too full for batches can still be pruned.
func (s *Store) checkSpaceToPrune() error { return badgerdir.CheckSpace(s.db, s.dir, maxBulk, 2) }

// Free returns how many bytes of the log's volume this process may use. It is
// [math.MaxInt64] if the system does not report it.
func (s *Store) Free() (int64, error) { return badgerdir.Free(s.dir) }
