package store

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// DefaultRetention is the retention of a log that is opened without one.
const DefaultRetention = 14 * 24 * time.Hour

// backstop is how long Badger keeps beyond the retention what nobody prunes. It is how long a recorder may be off, or by how much
// its retention may grow, without losing what [Store.Prune] would have carried on. It costs nothing: Prune frees the disk long
// before, and Badger neither gives back what expires in time-ordered keys, nor drops by prefix what has expired already.
const backstop = 365 * 24 * time.Hour

// closeWithin is how long closing may take.
const closeWithin = 10 * time.Second

// Options configure a log. The zero Options are usable.
type Options struct {
	// Retention is how long versions are kept. 0 means [DefaultRetention].
	Retention time.Duration
	// Now is the clock that records are dated with; nil means time.Now. Badger expires keys by the system's clock, so a
	// clock further behind it than the retention writes what has expired already.
	Now func() time.Time
	// Logger takes what the log and Badger have to say; nil discards it.
	Logger *slog.Logger
	// NoSync leaves writing to the disk to the operating system. What was appended survives the end of the process, but
	// not a loss of power.
	NoSync bool
	// MaxBytes is what [Store.Prune] keeps the database's files below, by dropping the oldest days. 0 means no limit. The smaller it
	// is, the smaller are tables, and the less memory is taken while they are built.
	MaxBytes int64
}

// Store is an open log. Its methods are safe for concurrent use.
type Store struct {
	db         *badger.DB
	dir        string
	lock       *dirLock
	opts       Options // that it was opened with
	log        *slog.Logger
	now        func() time.Time
	retention  time.Duration
	limit      int64 // on the files' bytes; 0: none
	files      int64 // that this process may have open and mapped
	bodies     *codec.Bodies
	exemplars  *exemplars
	terms      *dictionary
	identities *bounded[uint64, string]            // encoded, by object number: they never change
	texts      *bounded[uint32, string]            // phrases by day and number: neither do these
	phrases    *phrases                            // under commits
	objects    *bounded[history.ObjectRef, object] // alive, as they were written last; under commits
	sound      *soundness
	redaction  []byte
	opened     uint64 // the time of the log's newest record then, and one more
	endless    bool   // nothing expires while keys can carry the time

	// last is a time behind which no reader sees a record: that of the newest one or, during a commit, of the newest that it adds.
	last atomic.Uint64
	// closing ends running scans; so does repairing, for a while.
	closing, repairing atomic.Bool
	// oldest is a day before which there is no version; noDay before the very first.
	oldest atomic.Uint32
	// dropped is the day behind the last one that this process has dropped, or begun to.
	dropped atomic.Uint32
	// usage is as of the last pruning.
	usage atomic.Pointer[Usage]

	repairs repairs

	users  sync.RWMutex // held for reading while the database is used, for writing while it is closed or repaired
	closed bool         // guarded by users

	pruning sync.Mutex // held by the one pruner; taken after users
	full    bool       // guarded by pruning; the limit is passed, and there is nothing to drop

	commits sync.Mutex  // held by the one committer; taken after users and pruning
	state   codec.State // guarded by commits
	failed  error       // guarded by commits; what made the log read-only
	// begun holds the resources that had a checkpoint once, as far as they were
	// committed by this process; guarded by commits
	begun map[uint16]bool

	spared       []byte    // guarded by commits; what the spare copy holds
	spareNumbers [3]uint32 // guarded by commits; the highest numbers when that was looked at, and when it was
	sparedAt     time.Time
}

// errClosed is what every method of a closed log answers.
var errClosed = history.Errorf(history.Unavailable, "the history's database is closed")

// use keeps the database open until the returned function is called. It never waits for Close, so that it can be called
// while the caller uses the database already; for a repair it waits a little.
func (s *Store) use() (func(), error) {
	for !s.users.TryRLock() {
		if err := s.repairs.wait(); err != nil {
			return nil, err
		}
	}
	if s.closed {
		s.users.RUnlock()
		return nil, errClosed
	}
	return s.users.RUnlock, nil
}

// ended returns why what reads the database has to end, if it has to.
func (s *Store) ended() error {
	switch {
	case s.closing.Load():
		return errClosed
	case s.repairing.Load():
		return errRepairing
	default:
		return nil
	}
}

// Close ends running scans with an error, waits for them and for a running commit, and closes the log. A scan must not
// close the log that it reads. Closing a log again does nothing.
//
// A disk that takes nothing any more can't keep it for long: what is committed is in the write-ahead log, and what closing
// would have written is made of that when the log is opened again. Until the process ends or the disk is mended, the
// directory stays locked then.
func (s *Store) Close() error {
	s.closing.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.close() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeWithin):
		return history.Errorf(history.Internal, "the history's database could not be closed within %s: its disk does not take what is to be written", closeWithin)
	}
}

func (s *Store) close() error {
	s.users.Lock()
	defer s.users.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.sound.close()
	s.copySpare()
	err := s.db.Close()
	s.bodies.Close()
	return errors.Join(err, s.lock.release())
}

// RedactionKey returns the 32 random bytes that secret values are hashed with. They were made when the log was, and stay
// the same as long as it lives.
func (s *Store) RedactionKey() []byte { return slices.Clone(s.redaction) }

// horizon returns the time of the oldest record that may be answered.
func (s *Store) horizon() uint64 { return timestamp(s.now().Add(-s.retention)) }

// expiry returns when Badger may forget what was written at a time, in seconds since 1970.
func (s *Store) expiry(ts uint64) uint64 {
	if s.endless {
		return key.MaxTS / uint64(time.Second)
	}
	return (ts + uint64(s.retention) + uint64(backstop)) / uint64(time.Second)
}

// timestamp returns a time as keys carry it. What keys can't carry becomes the nearest that they can.
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
