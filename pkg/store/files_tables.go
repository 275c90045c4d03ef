package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"google.golang.org/protobuf/proto"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// The sizes of memtables, in bytes. Badger builds a table of each in a buffer that grows by doubling and is kept, one of up to eight,
// for builders of which most need a quarter of it: of 8 MB where the memtable had no more than 3.7 MB, and of 16 MB where it had. Much
// smaller they can't be: a transaction takes 15 % of a memtable, and has to take a part of a body (maxPart) with what goes with it.
const (
	usualMemtable   = 3 << 20
	earlierMemtable = 4 << 20 // what earlier recorders had
)

// mostMemtables is how many there are at a time: one is written to, two wait.
const mostMemtables = 3

// memtableSize returns how large memtables are to be for a database. Badger reads what an earlier process left in a write-ahead log
// into a memtable, and ends the process where that is too small. A log is as long as two memtables, until Badger cuts off what it
// did not need: one of any other length may have been an earlier recorder's. The next process has usual memtables again.
func memtableSize(dir string) (int64, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return 0, fmt.Errorf("look for write-ahead logs: %w", err)
	}
	for _, path := range logs {
		st, err := os.Stat(path)
		if err != nil {
			return 0, fmt.Errorf("look at a write-ahead log: %w", err)
		}
		if st.Size() != 2*usualMemtable {
			return earlierMemtable, nil
		}
	}
	return usualMemtable, nil
}

// manifestVersion is the version of the manifest's format that is written, which [badger.ReplayManifestFile] reads.
const manifestVersion = 8

// writeManifest puts a manifest that names these tables in the place of the one that is there.
func writeManifest(dir string, tables map[uint64]badger.TableManifest) error {
	var changes pb.ManifestChangeSet
	for id, t := range tables {
		changes.Changes = append(changes.Changes, &pb.ManifestChange{
			Id: id, Op: pb.ManifestChange_CREATE, Level: uint32(t.Level), KeyId: t.KeyID, Compression: uint32(t.Compression),
		})
	}
	payload, err := proto.Marshal(&changes)
	if err != nil {
		return fmt.Errorf("make the manifest: %w", err)
	}
	b := binary.BigEndian.AppendUint16([]byte("Bdgr\x00\x00"), manifestVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
	f, err := durable.Create(filepath.Join(dir, manifestFile))
	if err != nil {
		return fmt.Errorf("write the manifest: %w", err)
	}
	if _, err := f.Write(append(b, payload...)); err != nil {
		return errors.Join(fmt.Errorf("write the manifest: %w", err), f.Discard())
	}
	return f.Commit()
}

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
