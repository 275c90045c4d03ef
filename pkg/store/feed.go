package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// maxActive bounds the namespaces of [Store.Active]. If there are more, half of
// them are forgotten.
const maxActive = 1024

// feed reports to readers how far the log is committed. It is safe for
// concurrent use, and its lock is the innermost one.
//
// Invariants: position never decreases, and no record is committed with a time
// up to it any more. active has the namespace of each record after forgotten
// and up to position.
type feed struct {
	mu        sync.Mutex
	position  uint64            // the time of the newest record that is committed
	next      chan struct{}     // closed by the next commit; nil if no reader has it
	active    map[string]uint64 // times of the newest records of namespaces
	forgotten uint64            // namespaces without later records may be missing in active
}

// open sets the position of a log that is opened.
func (f *feed) open(last uint64) {
	f.publish(last)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active, f.forgotten = nil, last
}

// note adds the namespace of a record that is committed and not published yet.
func (f *feed) note(namespace string, at uint64) {
	if namespace == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.active == nil {
		f.active = map[string]uint64{}
	}
	f.active[namespace] = max(f.active[namespace], at)
	if len(f.active) <= maxActive {
		return
	}
	times := slices.Sorted(maps.Values(f.active))
	f.forgotten = max(f.forgotten, times[len(times)/2])
	maps.DeleteFunc(f.active, func(_ string, newest uint64) bool { return newest <= f.forgotten })
}

// publish announces a commit whose transaction has ended. last is the time of
// the newest record in it, or 0.
func (f *feed) publish(last uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.position = max(f.position, last)
	if f.next != nil {
		close(f.next)
		f.next = nil
	}
}

// Committed returns a position up to which the log is complete, and a channel
// that is closed by the next commit of anything, also of gaps.
//
// A scan that begins afterwards yields every record up to the position, and
// each later record has a later time, also after a restart. Without
// [Options.NoSync] the records are on disk, so this holds after a loss of power
// too.
func (s *Store) Committed() (upTo history.Cursor, next <-chan struct{}) {
	f := &s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = make(chan struct{})
	}
	return history.Cursor{Time: moment(f.position)}, f.next
}

// Active returns the namespaces of the records that were committed after a
// position. It is only in memory, so it is unknown which had records before the
// log was opened.
func (s *Store) Active(after history.Cursor) (a history.Activity) {
	f := &s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if forgotten := moment(f.forgotten); forgotten.After(after.Time) {
		a.Unknown = forgotten
	}
	for namespace, at := range f.active {
		if newest := moment(at); newest.After(after.Time) {
			if a.Newest == nil {
				a.Newest = map[string]time.Time{}
			}
			a.Newest[namespace] = newest
		}
	}
	return a
}

// Kept returns a position after which scans yield every record that was
// committed. It is the given position, unless records after that were dropped
// or are older than the retention. If a day after the position was dropped, it
// is assumed to have had records.
func (s *Store) Kept(ctx context.Context, after history.Cursor) (from history.Cursor, err error) {
	upTo, _ := s.Committed()
	err = s.view(func(r *reader) error {
		from = after
		if !after.Before(upTo.Time) {
			return nil // nothing follows
		}
		if err := r.loadFloor(); err != nil {
			return err
		}
		first, bound := timestamp(after.Time)+1, r.lowerBound()
		if first >= bound {
			return nil
		}
		lost := first < key.Start(r.floorDay)
		if !lost {
			p, err := r.plan(&history.Filter{})
			if err != nil {
				return err
			}
			found := r.allowed(ctx, p, func(indexHit) error { return errStop })
			err = r.days(p, span{from: first, to: bound - 1}, found)
			if lost = errors.Is(err, errStop) || errors.Is(err, errDropped); !lost && err != nil {
				return err
			}
		}
		if lost {
			from = history.Cursor{Time: moment(bound - 1)}
		}
		return nil
	})
	return from, err
}
