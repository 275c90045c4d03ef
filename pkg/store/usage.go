package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4/table"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
)

// Usage is the size of a log, and what it has dropped since it was opened. It
// is measured by [Store.Prune].
type Usage struct {
	// Bytes is the size of the database's files on disk. Limit is
	// [Options.MaxBytes].
	Bytes, Limit int64
	// Oldest is the time of the oldest record that a scan returns. It is zero
	// if there is no record.
	Oldest time.Time
	// Dropped counts the dropped days by reason. The map is read-only.
	Dropped map[Reason]Dropped
}

// Dropped is the number of dropped days, and by how many bytes the database's
// files shrank.
type Dropped struct {
	Days  uint64
	Bytes int64
}

// Usage returns the result of the last pruning. It reads nothing and never
// blocks.
func (s *Store) Usage() Usage { return *s.usage.Load() }

// updateUsage measures the log. The caller holds pruneMu.
func (s *Store) updateUsage(ctx context.Context) error {
	u := s.Usage()
	var err error
	if u.Bytes, err = s.diskSize(); err != nil {
		return err
	}
	u.Oldest = time.Time{}
	for r, err := range s.Scan(ctx, history.Scan{Limit: 1}) {
		if err != nil {
			return fmt.Errorf("find the oldest record: %w", err)
		}
		u.Oldest = r.Time
	}
	s.usage.Store(&u)
	return nil
}

// countDrop counts a dropped day. The caller holds pruneMu. The map is copied,
// since callers of Usage may still read the earlier one.
func (s *Store) countDrop(reason Reason, freed int64) {
	u := s.Usage()
	u.Dropped = maps.Clone(u.Dropped)
	if u.Dropped == nil {
		u.Dropped = map[Reason]Dropped{}
	}
	d := u.Dropped[reason]
	u.Dropped[reason] = Dropped{d.Days + 1, d.Bytes + freed}
	s.usage.Store(&u)
}

// overLimit reports whether the files exceed nine tenths of the limit. The rest
// is reserved for compactions, and for writes until the next pruning.
func (s *Store) overLimit() (bool, error) {
	if s.limit == 0 {
		return false, nil
	}
	size, err := s.diskSize()
	return size > s.limit/10*9, err
}

// diskSize returns the size of the database's files on disk in bytes. It
// doesn't count holes, because Badger allocates files larger than their
// contents. Nor does it count deleted tables that are still being read:
// dropping another day would not free their space.
func (s *Store) diskSize() (total int64, err error) {
	live := map[string]bool{}
	for _, t := range s.db.Tables() {
		live[table.IDToFilename(t.ID)] = true
	}
	dir := s.db.Opts().Dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("measure the database: %w", err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".sst" && !live[e.Name()] {
			continue
		}
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since ReadDir
		}
		if err != nil {
			return 0, fmt.Errorf("measure the database: %w", err)
		}
		total += badgerdir.Allocated(st)
	}
	return total, nil
}
