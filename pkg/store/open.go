package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

// Open opens the log in a directory and locks the directory. It creates the
// directory and the log if they don't exist, and repairs a damaged database.
// The caller must call [Store.Close].
//
// It returns a [history.Invalid] error if the directory is locked by another
// process or can't be written to. It also does if the directory contains an
// unfinished restore, an imported log, or the database of another program.
func Open(dir string, opts Options) (*Store, error) {
	opts = withDefaults(opts)
	lock, err := badgerdir.Claim(dir)
	if err != nil {
		return nil, err
	}
	s, err := open(dir, opts)
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	s.lock = lock
	s.begin()
	return s, nil
}

// begin ends the opening of a log. From now on, damage is repaired while the
// log is open.
func (s *Store) begin() {
	s.repairable = true
	s.integrity.start()
}

func withDefaults(o Options) Options {
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// open opens the database of a locked directory, and repairs it first if it is
// damaged. The markers of an unfinished restore and of an import are checked
// before any file is changed.
func open(dir string, opts Options) (*Store, error) {
	for _, prepare := range []func() error{
		func() error { return checkRestored(dir) },
		func() error { return checkNotImported(dir) },
		func() error { return badgerdir.RemoveEmptyFiles(dir, opts.Logger) },
		func() error { return badgerdir.RemoveViews(dir) },
		func() error { return badgerdir.CheckSpaceToOpen(dir) },
	} {
		if err := prepare(); err != nil {
			return nil, err
		}
	}
	s, err := openChecked(dir, opts)
	damage, isDamaged := errors.AsType[*badgerdir.DamageError](err)
	if !isDamaged {
		return s, err
	}
	if err := repairToOpen(dir, opts, damage); err != nil {
		return nil, err
	}
	return openChecked(dir, opts)
}

// openChecked checks a database's files and opens it. Badger must not open a
// damaged database, because it would drop data without an error.
func openChecked(dir string, opts Options) (*Store, error) {
	tables, err := badgerdir.Check(dir, urgentTables)
	if err != nil {
		return nil, err
	}
	return openLog(dir, tables, opts)
}

// openLog opens a database whose files were checked. tables are the result of
// the check: nil for a new database. The log's integrity takes ownership of
// them, and verifies the blocks that the check didn't once the caller calls
// begin. Damage that is found before is returned.
func openLog(dir string, tables badgerdir.Tables, opts Options) (*Store, error) {
	if err := badgerdir.CheckTableCountToOpen(tables); err != nil {
		return nil, err
	}
	bodies, err := codec.NewBodies()
	if err != nil {
		return nil, err
	}
	db, err := badgerdir.Open(dir, opts.badger())
	if err != nil {
		bodies.Close()
		return nil, err
	}
	s := newStore(db, dir, opts, bodies)
	s.opts = opts
	s.integrity = newIntegrity(db, tables, s.onDamage)
	err = s.load(dir)
	if err == nil {
		err = s.completeRepair(context.Background())
	}
	if err != nil {
		bodies.Close()
		s.integrity.close()
		return nil, errors.Join(err, db.Close())
	}
	s.copySpare()
	return s, nil
}

// newStore returns a log on an open database. It reads nothing: the caller
// loads the log's state and sets its integrity.
func newStore(db *badger.DB, dir string, opts Options, bodies *codec.Bodies) *Store {
	s := &Store{
		db:        db,
		dir:       dir,
		logger:    opts.Logger,
		now:       opts.Now,
		retention: opts.Retention,
		limit:     opts.MaxBytes,
		files:     badgerdir.MaxFiles(),
		bodies:    bodies,

		identityCache: newBoundedCache[uint64, string](maxIdentities),
		phraseTexts:   newBoundedCache[uint32, string](maxPhraseTexts),
		listings:      newListings(),
		places:        newBoundedCache[uint16, dayPlaces](maxPlaceDays),
		refSnapshots:  newRefSnapshots(),
		dayDict:       newDayDictionary(),
		headCache:     newBoundedCache[history.ObjectRef, objectHead](maxCachedHeads),
		checkpointed:  map[uint16]bool{},
	}
	s.terms = newDictionary(func(k []byte) error { return s.integrity.checkKey(k) })
	s.usage.Store(&Usage{Limit: opts.MaxBytes})
	return s
}
