package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Reason says why a day was dropped.
type Reason string

// The reasons.
const (
	ByAge  Reason = "age"  // all of it is older than the retention
	BySize Reason = "size" // it was the oldest, and the files neared [Options.MaxBytes]
)

// drop is the dropping of a day. What it does, in order, each step durable before the next:
//
//  1. Carry: the last version in the day of every object is copied to the standing versions, deletions too, where they end one.
//     Readers don't look at the copies yet.
//  2. Raise the floor to the next day, in one transaction with the gaps that say what is lost. From there on the day is not
//     answered, and the copies are.
//  3. Sweep: standing versions that the copies have taken the place of are removed, and so are copied deletions, and everything
//     about objects that were deleted in the day and have not come back.
//  4. Drop the day's prefix. This is the only step that readers see in the middle of what they read; see [reader.lost].
//
// So the standing versions are the cluster's state at the beginning of the floor, whenever that is looked at. Whoever is
// interrupted before the second step begins anew, after it goes on with the third; all can be repeated.
type drop struct {
	day    uint16
	reason Reason
	begun  bool // the floor was raised by an earlier attempt
}

// Prune drops the days that lie behind the retention as a whole and, while the database's files have more than nine tenths of
// [Options.MaxBytes], the oldest day, but never the one that is being recorded. Of what is dropped by size, gaps say so. The
// versions that stood when the remaining days begin stay. Prune returns when there is no more to drop; it is to be called every
// few minutes, and holds commits up only while a prefix is dropped.
//
// After an error it can be called again, and goes on where it was.
func (s *Store) Prune(ctx context.Context) error {
	release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	s.pruning.Lock()
	defer s.pruning.Unlock()
	for {
		d, err := s.due()
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if d == nil {
			s.commits.Lock()
			s.copySpare()
			s.commits.Unlock()
			return s.measure(ctx)
		}
		if err := s.drop(ctx, d); err != nil {
			return fmt.Errorf("drop the day of %s: %w", moment(key.Start(uint32(d.day))).Format(time.DateOnly), err)
		}
	}
}

// due returns what has to be dropped next; nil where there is nothing.
func (s *Store) due() (*drop, error) {
	var oldest, first uint32
	err := s.view(func(r *reader) (err error) {
		oldest = oldestDay(r.txn)
		first, err = floor(r.txn)
		return err
	})
	if err != nil || oldest == noDay {
		return nil, err
	}
	s.oldest.Store(oldest)
	d := &drop{day: uint16(oldest), reason: BySize, begun: oldest < first}
	if key.Start(oldest+1) <= s.horizon() {
		d.reason = ByAge
	}
	recording := oldest >= uint32(key.Day(s.last.Load()))
	if !recording && (d.begun || d.reason == ByAge) {
		return d, nil
	}
	over, err := s.over()
	s.tell(over && recording)
	if err != nil || !over || recording {
		return nil, err
	}
	return d, nil
}

// tell says once that the limit is neared though nothing is left to drop. What is recorded now is worth more than the limit.
func (s *Store) tell(full bool) {
	if full && !s.full {
		s.log.Error("the newest day of history alone nears the storage's limit, and recording goes on: raise maxStorage and the volume",
			"limit", s.limit)
	}
	s.full = full
}

func (s *Store) drop(ctx context.Context, d *drop) error {
	began := time.Now()
	before, err := s.size()
	if err != nil {
		return err
	}
	if !d.begun {
		if err := s.carry(ctx, d.day); err != nil {
			return fmt.Errorf("carry what stands on: %w", err)
		}
		if err := s.raise(ctx, d); err != nil {
			return fmt.Errorf("raise the floor: %w", err)
		}
	}
	if err := s.sweep(ctx, d.day); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	if err := s.remove(d.day); err != nil {
		return err
	}
	after, err := s.size()
	if err != nil {
		return err
	}
	freed := max(before-after, 0)
	s.account(d.reason, freed)
	s.log.InfoContext(ctx, "dropped a day of history", "day", moment(key.Start(uint32(d.day))).Format(time.DateOnly),
		"reason", d.reason, "bytes", freed, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// raise makes the next day the floor.
func (s *Store) raise(ctx context.Context, d *drop) error {
	var lost []group
	err := s.view(func(r *reader) (err error) { lost, err = r.losses(d.day, d.reason); return err })
	if err != nil {
		return err
	}
	return s.transact(ctx, func(w *writer) error {
		for _, g := range lost {
			if err := w.add(g); err != nil {
				return err
			}
		}
		var g group
		g.set(key.Floor(), encodeFloor(uint32(d.day)+1), 0)
		return w.add(g)
	})
}

// remove drops the day's prefix. Badger refuses writes meanwhile, which the committer's lock keeps from being made. It reports
// success where it could not compact the newest tables, so that the day is looked for again.
func (s *Store) remove(day uint16) error {
	if err := s.db.Sync(); err != nil {
		return err
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.dropped.Store(max(s.dropped.Load(), uint32(day)+1))
	if err := s.db.DropPrefix(key.DayPrefix(day)); err != nil {
		return s.fail(err)
	}
	return s.db.View(func(txn *badger.Txn) error {
		if oldestDay(txn) > uint32(day) {
			return nil
		}
		return errors.New("the database has not dropped it")
	})
}

// transact commits what f adds to a writer. After an error of that the log can't be written to until it is opened again; where there is
// no room, nothing is written.
func (s *Store) transact(ctx context.Context, f func(*writer) error) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	if err := errors.Join(s.failed, ctx.Err()); err != nil {
		return err
	}
	if err := s.roomToPrune(); err != nil {
		return err
	}
	w := s.newWriter()
	defer func() { w.txn.Discard() }()
	err := f(w)
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}
