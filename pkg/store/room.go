package store

import (
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// What has to stay free of a volume, in bytes. Badger writes into files that it has mapped: where the volume has no block for
// such a page, the kernel ends the process with SIGBUS, and nobody gets an error. So nothing is written unless there is room
// for all that Badger may write until the next look:
//
//   - the write-ahead logs of three memtables (one is written to, two wait) of 5 MB each: a memtable is full at 4 MB, where there
//     are logs of an earlier recorder, and a transaction takes 0.6 MB at the most; and the three tables made of them, no larger: 30 MB;
//   - what compactions write before they remove what they read, which is no more than all tables together. Two compactions
//     run at a time; one reads at the most ten tables of level 0 (50 MB) and a base level of 20 MB, the other a table and what
//     overlaps with it one level down, some 100 MB where tables are largest.
const (
	roomForMemtables   = 32 << 20
	roomForCompactions = 224 << 20
	// roomForOpening is for the tables that are made of the write-ahead logs of a process that was killed.
	roomForOpening = 16 << 20
)

// How many files, of those that a process may have open and mapped, are not for tables: connections, the program's own mappings, and
// what compactions make before they remove what they read, which in a small database is all of it. Badger takes a compaction for done
// whose tables could not be made, and forgets what it read. To open a log takes fewer than to go on with it, so that one which may not
// grow can still be opened.
const (
	spareToCommit = 1024 // at most, and two thirds of all
	spareToOpen   = 640  // at most, and seven twelfths of all
)

// tables refuses every batch where the database has nearly as many tables as there may be, once all that is written stands in tables
// of the usual size: those of level 0 have that of a memtable.
func (s *Store) tables() error {
	size := tableSize(s.limit)
	n := mostMemtables * usualMemtable / size
	for _, level := range s.db.Levels() {
		if level.Level == 0 {
			n += level.Size / size
		}
		n += int64(level.NumTables)
	}
	if n > s.files-min(spareToCommit, s.files-s.files/3) {
		return tooManyTables(history.Unavailable, n, s.files)
	}
	return nil
}

// tablesToOpen refuses a database of so many tables that they can't be joined.
func tablesToOpen(tables indexes) error {
	n, files := int64(len(tables)), mostFiles()
	if n > files-min(spareToOpen, files-files/12*5) {
		return tooManyTables(history.Invalid, n, files)
	}
	return nil
}

func tooManyTables(code history.Code, n, files int64) error {
	return history.Errorf(code,
		"the history has %d tables, and this process may have %d files open or mapped: raise the limit (ulimit -n, vm.max_map_count), or lower maxStorage",
		n, files)
}

// room refuses a batch whose bodies have so many bytes where the volume does not have the room.
func (s *Store) room(size int64) error { return s.reserve(size, 1) }

// roomToPrune refuses what pruning writes where the volume does not have the room. It may take half of what is kept for compactions, so
// that a volume which takes no batch any more can still be pruned.
func (s *Store) roomToPrune() error { return s.reserve(maxBulk, 2) }

// reserve refuses so many bytes where the volume would have less left than Badger may write, with a part of what is kept for
// compactions. It looks at the tables only where the volume is nearly full.
func (s *Store) reserve(size, part int64) error {
	free, err := s.Free()
	if err != nil {
		return history.Errorf(history.Unavailable, "storage directory %s can't be looked at: %v: mend that, and recording goes on", s.dir, err)
	}
	need := roomForMemtables + 2*size // into the write-ahead log, and into a table
	if free >= need+roomForCompactions/part {
		return nil
	}
	var tables int64
	for _, level := range s.db.Levels() {
		tables += level.Size
	}
	if need += min(tables, roomForCompactions) / part; free >= need {
		return nil
	}
	return full(s.dir, free, need)
}

// Free returns how many bytes of the log's volume are free to this process. Where the system does not tell, it is
// [math.MaxInt64].
func (s *Store) Free() (int64, error) { return free(s.dir) }

// roomToOpen refuses a directory whose volume is so full that opening the database would end the process.
func roomToOpen(dir string) error {
	left, err := free(dir)
	if err != nil {
		return fmt.Errorf("look at the volume of %s: %w", dir, err)
	}
	if left < roomForOpening {
		return full(dir, left, roomForOpening)
	}
	return nil
}

func full(dir string, free, need int64) error {
	return history.Errorf(history.Unavailable,
		"the volume of storage directory %s is full: %d MB are free, and %d MB have to be: make room or enlarge it", dir, free>>20, need>>20)
}
