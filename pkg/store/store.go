package store

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// DefaultRetention is the retention of a log that is opened without one.
const DefaultRetention = 14 * 24 * time.Hour

// ttlSlack is how long Badger keeps versions after the end of their retention,
// if nothing prunes them. A recorder can be down that long, or its retention
// can grow by that much, before baselines are lost that [Store.Prune] would
// have written.
//
// The slack costs no space: Prune drops days long before. Badger reclaims
// hardly anything when time-ordered keys expire, and DropPrefix skips expired
// keys.
const ttlSlack = 365 * 24 * time.Hour

// closeTimeout bounds how long [Store.Close] waits for the disk.
const closeTimeout = 10 * time.Second

// Options configure a log. The zero Options are usable.
type Options struct {
	// Retention is how long versions are answered. 0 means [DefaultRetention].
	Retention time.Duration
	// Now is the clock that dates records. nil means time.Now.
	//
	// Badger expires keys by the system clock. If Now is behind the system
	// clock by more than the retention and a year, new records expire at once.
	Now func() time.Time
	// Logger receives the messages of the log and of Badger. nil discards them.
	Logger *slog.Logger
	// NoSync leaves it to the operating system when writes reach the disk.
	// Appended records survive the death of the process, but not a loss of
	// power.
	NoSync bool
	// MaxBytes is the size of the database's files in bytes below which
	// [Store.Prune] keeps the database, by dropping the oldest days. 0 means no
	// limit. A small limit makes small tables, which take less memory to build.
	MaxBytes int64
}

// Store is an open log. Its methods are safe for concurrent use.
//
// Lock order: useMu, then pruneMu, then commitMu, then that of the feed.
type Store struct {
	db        *badger.DB
	dir       string
	lock      *badgerdir.Lock
	opts      Options // of Open
	logger    *slog.Logger
	now       func() time.Time
	retention time.Duration
	limit     int64  // of the files' total size in bytes; 0: none
	files     int64  // how many files the process may have open and mapped
	redaction []byte // see RedactionKey
	noTTL     bool   // versions never expire
	// rootsSince is the time from which on [key.ByRoot] has entries. Versions
	// that an older program wrote have none.
	rootsSince uint64

	// repairable means that damage is repaired while the log is open. It is
	// constant once the log is open.
	repairable bool

	// sessionStart is one more than the time of the newest record when the log
	// was opened. A delta's base is not older than that.
	sessionStart uint64

	bodies    *codec.Bodies
	integrity *integrity

	// Caches of values that never change once they are committed.
	terms         *dictionary
	identityCache *boundedCache[uint64, string] // encoded identities by object number
	phraseTexts   *boundedCache[uint32, string] // phrases by day and number
	listings      *listings
	places        *boundedCache[uint16, dayPlaces] // of days that ended

	refSnapshots *refSnapshots

	feed feed // of commits

	// last is the time of the newest record that readers may see. A commit
	// raises it before the transaction commits.
	last atomic.Uint64
	// closing and repairing end running scans with an error. repairing is reset
	// once the repair is complete.
	closing, repairing atomic.Bool
	// oldest is a day before which there is no version. It is noDay if the log
	// has no versions.
	oldest atomic.Uint32
	// dropped is one more than the newest day that this process dropped or
	// began to drop.
	dropped atomic.Uint32
	// usage is the result of the last pruning.
	usage atomic.Pointer[Usage]

	repairs onlineRepairs

	// useMu is read-locked while the database is used, and locked while it is
	// closed or repaired.
	useMu  sync.RWMutex
	closed bool // guarded by useMu

	// pruneMu is held by the pruner.
	pruneMu sync.Mutex
	full    bool // guarded by pruneMu: the limit is exceeded and no day can be dropped

	// commitMu is held by the committer. It guards everything below.
	commitMu     sync.Mutex
	state        codec.State                                  // what the last commit stored
	failed       error                                        // why the log is read-only; nil: it isn't
	dayDict      *dayDictionary                               // of the newest record's day
	headCache    *boundedCache[history.ObjectRef, objectHead] // heads of live objects, as committed
	checkpointed map[uint16]bool                              // resources known to have had a checkpoint

	spared       []byte    // contents of the spare copy
	spareNumbers [3]uint32 // the dictionaries' highest numbers in the spare copy
	sparedAt     time.Time // when the spare copy was last compared with the log
}

// errClosed is the error of methods that need the database after it was closed.
var errClosed = history.Errorf(history.Unavailable, "the history's database is closed")

// acquire keeps the database open until the returned function is called.
//
// It never blocks on useMu: a caller that already holds the database would
// deadlock with a pending Close or repair. If the log is being closed, it
// returns errClosed. If it is being repaired, it waits as long as
// [onlineRepairs.wait] does.
func (s *Store) acquire() (release func(), err error) {
	for !s.useMu.TryRLock() {
		if err := s.repairs.wait(); err != nil {
			return nil, err
		}
	}
	if s.closed {
		s.useMu.RUnlock()
		return nil, errClosed
	}
	return s.useMu.RUnlock, nil
}

// stopErr returns the error with which running reads must end: the log is being
// closed or repaired. It returns nil if they may go on.
func (s *Store) stopErr() error {
	switch {
	case s.closing.Load():
		return errClosed
	case s.repairing.Load():
		return errRepairing
	default:
		return nil
	}
}

// checkOpen returns an error if a long operation must end: the log is closed or
// repaired, or the operation is cancelled.
func (s *Store) checkOpen(ctx context.Context) error { return cmp.Or(s.stopErr(), ctx.Err()) }

// Close ends running scans with an error, waits for them and for a running
// commit, and closes the log. It must not be called from within a scan of the
// same log. Closing a closed log does nothing.
//
// If the disk blocks, Close returns an error after 10 seconds. No commit is
// lost: it is in the write-ahead log, which Badger replays when the log is
// opened again. The directory stays locked until the process ends or the disk
// responds.
func (s *Store) Close() error {
	s.closing.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTimeout):
		return history.Errorf(history.Internal,
			"close database %s: the disk did not respond within %s", s.dir, closeTimeout)
	}
}

// close is Close without its timeout. It locks useMu, so it waits for every
// call that has acquired the database.
func (s *Store) close() error {
	s.useMu.Lock()
	defer s.useMu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.copySpare()
	s.integrity.close()
	err := s.db.Close()
	s.bodies.Close()
	return errors.Join(err, s.lock.Release())
}

// RedactionKey returns a copy of the 32 random bytes from which the keys of the
// hashes of hidden values are derived. They are created with the log and never
// change.
func (s *Store) RedactionKey() []byte { return slices.Clone(s.redaction) }

// horizon returns the beginning of the retention: the time of the oldest record
// that may be answered.
func (s *Store) horizon() uint64 { return timestamp(s.now().Add(-s.retention)) }

// expiry returns when Badger may expire an entry that was written at ts, in
// seconds since 1970.
func (s *Store) expiry(ts uint64) uint64 {
	if s.noTTL {
		return key.MaxTS / uint64(time.Second)
	}
	return (ts + uint64(s.retention) + uint64(ttlSlack)) / uint64(time.Second)
}

// timestamp returns t as keys store it, in nanoseconds since 1970. A time
// before 1970 becomes 0. A time after the year 2200 becomes the beginning of
// that year, so that the conversion doesn't overflow.
func timestamp(t time.Time) uint64 {
	switch {
	case t.Unix() < 0:
		return 0
	case t.Year() > 2200:
		return uint64(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	default:
		return uint64(t.UnixNano())
	}
}

// moment is the inverse of [timestamp].
func moment(ts uint64) time.Time { return time.Unix(0, int64(ts)).UTC() }
