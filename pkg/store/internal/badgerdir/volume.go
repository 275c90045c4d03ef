package badgerdir

import (
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The space that must stay free on the volume, in bytes.
//
// Badger writes into memory-mapped files. If the volume is full, the kernel
// ends the process with SIGBUS, and no call returns an error. So nothing is
// written unless the volume has room for all that Badger may write before the
// next check:
//
//   - The WALs of three memtables, one in use and two waiting, of up to 4 MB
//     each, and the three tables that are made of them: 24 MB, rounded up.
//   - The output of compactions, which exists together with their input. It is
//     not larger than all tables. Two compactions run at a time. One reads at
//     most ten tables of level 0 (50 MB) and a base level of 20 MB. The other
//     reads a table and the overlapping tables one level below, about 100 MB
//     for the largest tables.
const (
	memtableSpace   = 32 << 20
	compactionSpace = 224 << 20
	// openingSpace is for the tables made of the WALs of a killed process.
	openingSpace = 16 << 20
)

// How many of the files that a process may have open and mapped are not
// available for tables. They are for connections, the mappings of the program,
// and the output of compactions. In a small database, that output can be as
// large as the database.
//
// Badger treats a compaction as done even if its tables could not be created,
// and then drops its input. Opening requires fewer spare files than committing,
// so that a database that may not grow can still be opened.
const (
	spareFilesToCommit = 1024 // at most two thirds of all
	spareFilesToOpen   = 640  // at most seven twelfths of all
)

// CheckTableCount returns a [history.Unavailable] error if an open database may
// reach the number of tables that maxFiles permits. maxBytes is the largest
// size of the database.
//
// It counts the tables as if all data were in tables of the usual size. Tables
// of level 0 are larger: each is as large as a memtable.
func CheckTableCount(db *badger.DB, maxBytes, maxFiles int64) error {
	size := tableSize(maxBytes)
	n := maxMemtables * memtableSize / size
	for _, level := range db.Levels() {
		if level.Level == 0 {
			n += level.Size / size
		}
		n += int64(level.NumTables)
	}
	if n > maxFiles-min(spareFilesToCommit, maxFiles-maxFiles/3) {
		return tooManyTables(history.Unavailable, n, maxFiles)
	}
	return nil
}

// CheckTableCountToOpen returns a [history.Invalid] error if a database has too
// many tables to be opened and compacted.
func CheckTableCountToOpen(tables Tables) error {
	n, files := int64(len(tables)), MaxFiles()
	if n > files-min(spareFilesToOpen, files-files/12*5) {
		return tooManyTables(history.Invalid, n, files)
	}
	return nil
}

// ErrTooManyTables is the cause of an error if the database has more tables
// than the process can keep open.
var ErrTooManyTables = errors.New("too many tables")

func tooManyTables(code history.Code, n, files int64) error {
	return &history.Error{
		Code: code,
		Message: fmt.Sprintf("the database has %d tables, and this process may have %d files open or mapped "+
			"(ulimit -n, vm.max_map_count)", n, files),
		Err: ErrTooManyTables,
	}
}

// CheckSpace returns a [history.Unavailable] error if the volume has no room
// for size more bytes and for what Badger may write. share divides the space
// that is reserved for compactions. With 2, pruning may use half of that space,
// so that a volume that is too full for batches can still be pruned.
//
// It reads the sizes of the levels only if the volume is nearly full.
func CheckSpace(db *badger.DB, dir string, size, share int64) error {
	free, err := Free(dir)
	if err != nil {
		return history.Errorf(history.Unavailable, "read the free space of storage directory %s: %v", dir, err)
	}
	need := memtableSpace + 2*size // in the WAL and in a table
	if free >= need+compactionSpace/share {
		return nil
	}
	var tables int64
	for _, level := range db.Levels() {
		tables += level.Size
	}
	if need += min(tables, compactionSpace) / share; free >= need {
		return nil
	}
	return volumeFull(dir, free, need)
}

// CheckSpaceToOpen returns a [history.Unavailable] error if a volume is so full
// that opening the database would end the process.
func CheckSpaceToOpen(dir string) error {
	free, err := Free(dir)
	if err != nil {
		return fmt.Errorf("read the free space of storage directory %s: %w", dir, err)
	}
	if free < openingSpace {
		return volumeFull(dir, free, openingSpace)
	}
	return nil
}

func volumeFull(dir string, free, need int64) error {
	return history.Errorf(history.Unavailable,
		"the volume of storage directory %s is full: %d MB are free, %d MB are needed", dir, free>>20, need>>20)
}
