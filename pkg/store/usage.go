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
)

// Usage is what a log takes and what it has dropped since it was opened, as of the last [Store.Prune].
type Usage struct {
	// Bytes is what the database's files take on the disk; Limit is [Options.MaxBytes].
	Bytes, Limit int64
	// Oldest is the time of the oldest record that pages answer; zero where there is none.
	Oldest time.Time
	// Dropped is what was dropped, by reason.
	Dropped map[Reason]Dropped
}

// Dropped is how many days were dropped, and by how many bytes the database's files shrank.
type Dropped struct {
	Days  uint64
	Bytes int64
}

// Usage returns what the log takes. It reads nothing and never waits.
func (s *Store) Usage() Usage { return *s.usage.Load() }

// measure brings what the log takes up to date.
func (s *Store) measure(ctx context.Context) error {
	u := s.Usage()
	var err error
	if u.Bytes, err = s.size(); err != nil {
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

// account counts a day that was dropped.
func (s *Store) account(reason Reason, freed int64) {
	u := s.Usage()
	u.Dropped = maps.Clone(u.Dropped)
	if u.Dropped == nil {
		u.Dropped = map[Reason]Dropped{}
	}
	d := u.Dropped[reason]
	u.Dropped[reason] = Dropped{d.Days + 1, d.Bytes + freed}
	s.usage.Store(&u)
}

// over tells whether the files near the limit. What is written until the next pruning, and what compactions need, has to fit
// into the rest.
func (s *Store) over() (bool, error) {
	if s.limit == 0 {
		return false, nil
	}
	size, err := s.size()
	return size > s.limit/10*9, err
}

// size returns what the database's files take on the disk, in bytes. Holes don't count: Badger makes files larger than what is
// in them. Nor do tables that were deleted and are only still read: no further day has to be dropped for those.
func (s *Store) size() (total int64, err error) {
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
			continue // deleted meanwhile
		}
		if err != nil {
			return 0, fmt.Errorf("measure the database: %w", err)
		}
		total += allocated(st)
	}
	return total, nil
}
