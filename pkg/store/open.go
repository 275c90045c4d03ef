package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// Open opens the log in a directory, which it makes where there is none, and locks the directory. A directory that is in
// use, that can't be written, or that holds something else is an [history.Error] for the user; nothing in it is changed.
func Open(dir string, opts Options) (*Store, error) {
	opts = withDefaults(opts)
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	s, err := open(dir, opts)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	s.lock = lock
	return s, nil
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

// claim makes the directory, sees that it can be written, and locks it.
func claim(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unwritable(dir, err)
	}
	lock, err := lockDir(dir)
	if errors.Is(err, errLocked) {
		return nil, inUse(dir)
	}
	if history.CodeOf(err) == history.Invalid {
		return nil, err
	}
	if err != nil {
		return nil, unwritable(dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, errors.Join(unwritable(dir, err), lock.release())
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, errors.Join(unwritable(dir, err), lock.release())
	}
	return lock, nil
}

func inUse(dir string) error {
	return history.Errorf(history.Invalid,
		"storage directory %s is in use by another process: stop it, or set storagePath (BADGER_PATH) to another directory", dir)
}

func unwritable(dir string, err error) error {
	return history.Errorf(history.Invalid,
		"storage directory %s can't be written: %v: mend its permissions, or set storagePath (BADGER_PATH) to another directory", dir, err)
}

// open opens the database of a directory that is locked already. A damaged one is repaired before.
func open(dir string, opts Options) (*Store, error) {
	for _, look := range []func() error{
		func() error { return checkFinished(dir) },
		func() error { return checkNotImported(dir) },
		func() error { return mend(dir, opts.Logger) },
		func() error { return removeViews(dir) },
		func() error { return roomToOpen(dir) },
	} {
		if err := look(); err != nil {
			return nil, err
		}
	}
	s, err := openChecked(dir, opts)
	damage, isDamaged := errors.AsType[*damageError](err)
	if !isDamaged {
		return s, err
	}
	if err := repairToOpen(dir, opts, damage); err != nil {
		return nil, err
	}
	return openChecked(dir, opts)
}

// openChecked opens a database whose files are looked at before.
func openChecked(dir string, opts Options) (*Store, error) {
	tables, err := check(dir)
	if err != nil {
		return nil, err
	}
	return openLog(dir, tables, opts)
}

// repairToOpen repairs a log that is to be opened, so that what can be read is answered, and recording goes on. A repair that would
// have to make another key for secret values is somebody's decision: hashes from before could not be compared with later ones.
func repairToOpen(dir string, opts Options, damage *damageError) error {
	opts.Logger.Error("a file of the database is damaged and is repaired", "err", damage)
	r, err := repairLocked(context.Background(), dir, opts, func(r *Report) error {
		if r.NewKey {
			return damage
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.tell(opts.Logger, dir)
	return nil
}

// tell logs what a repair did.
func (r *Report) tell(log *slog.Logger, dir string) {
	for _, f := range r.Files {
		log.Error("repaired a damaged file", "file", f.Name, "problem", f.Problem, "repair", f.Repair, "kept_in", filepath.Join(dir, asideDir))
	}
	versions, objects := r.Lost()
	log.Error("repaired the database: what is lost lies in gaps", "versions", versions, "objects", objects, "gaps", r.Gaps)
	for _, l := range r.Losses() {
		log.Error("versions are lost", "resource", l.Resource, "day", l.Day, "versions", l.Versions, "objects", l.Objects)
	}
}

// removeViews removes the directories of repairs that were killed.
func removeViews(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, viewPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// openLog opens a database that has these tables, and whose other files are whole.
func openLog(dir string, tables indexes, opts Options) (*Store, error) {
	if err := tablesToOpen(tables); err != nil {
		return nil, err
	}
	bodies, err := codec.NewBodies()
	if err != nil {
		return nil, err
	}
	db, err := openDB(dir, opts)
	if err != nil {
		bodies.Close()
		return nil, err
	}
	s := newStore(db, dir, opts, bodies)
	s.opts = opts
	s.sound = vet(db, tables, s.foundDamage)
	err = s.load(dir)
	if err == nil {
		err = s.settleRepaired(context.Background())
	}
	if err != nil {
		bodies.Close()
		s.sound.close()
		return nil, errors.Join(err, db.Close())
	}
	s.copySpare()
	return s, nil
}

// newStore returns a log on an open database, which knows nothing of it yet.
func newStore(db *badger.DB, dir string, opts Options, bodies *codec.Bodies) *Store {
	s := &Store{
		db: db, dir: dir, log: opts.Logger, now: opts.Now, retention: opts.Retention, limit: opts.MaxBytes, files: mostFiles(), bodies: bodies,
		exemplars:  newExemplars(),
		identities: newBounded[uint64, string](maxIdentities), texts: newBounded[uint32, string](maxTexts),
		phrases: newPhrases(), objects: newBounded[history.ObjectRef, object](maxObjects), begun: map[uint16]bool{},
	}
	s.terms = newDictionary(func(k []byte) error { return s.sound.checkKey(k) })
	s.usage.Store(&Usage{Limit: opts.MaxBytes})
	return s
}

// openDB opens a database with Badger, which goes on behind a damaged write-ahead log: what stands there is set aside before.
func openDB(dir string, opts Options) (*badger.DB, error) {
	if err := cutLogs(dir, opts.Logger); err != nil {
		return nil, err
	}
	memtable, err := memtableSize(dir)
	if err != nil {
		return nil, err
	}
	db, err := badger.Open(tuned(dir, opts).WithMemTableSize(memtable))
	if err != nil {
		return nil, fmt.Errorf("open the database in %s: %w", dir, err)
	}
	return db, nil
}

// mend removes the empty files that a killed process can leave behind, which Badger would not open. They were made but
// not written yet. The directory must be locked.
func mend(dir string, log *slog.Logger) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("look for torn files: %w", err)
		}
		for _, f := range files {
			if st, err := os.Stat(f); err != nil || st.Size() > 0 {
				continue
			}
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("remove an empty file: %w", err)
			}
			log.Info("removed an empty file that an earlier process left behind", "path", f)
		}
	}
	return nil
}

// The sizes of tables, in bytes: a database that may grow to at most so many tables' size has the smallest ones, of which none are
// smaller than leastTable.
const (
	mostTables = 50_000
	leastTable = 256 << 10
	usualTable = 1 << 20 // where nobody says how large the database may be
)

// tableSize returns how large tables are to be, compressed. What takes most memory are the buffers of the tables that are being
// built, each of about ten times that, of which a dozen are in flight while tables are joined, and up to eight kept for later. So
// tables are as small as they can be: Linux maps 65,530 files for a process. The size is a power of two, because a buffer grows by
// doubling from twice a table, rounded up to one: a table that is a little larger than leastTable has a buffer twice as large.
func tableSize(limit int64) int64 {
	if limit == 0 {
		return usualTable
	}
	size := int64(leastTable)
	for size < limit/mostTables {
		size *= 2
	}
	return size
}

// tuned returns Badger's options for little memory: two small memtables, small caches, small tables of one size on all levels, no
// conflict detection, since there is one committer. Four tables of level 0 that Badger can't move down it joins into one, with a
// buffer of 256 MB: so it begins to move them down at two. The directory is locked already where [dirLock] can do that.
func tuned(dir string, o Options) badger.Options {
	tuned := badger.DefaultOptions(dir).
		WithBypassLockGuard(ownLock).
		WithLogger(&badgerLogger{o.Logger}).
		WithSyncWrites(!o.NoSync).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(usualMemtable).
		WithValueThreshold(maxPart + 1<<10).
		WithNumMemtables(mostMemtables - 1).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(10).
		WithNumCompactors(2).
		WithNumGoroutines(1).
		WithBaseTableSize(tableSize(o.MaxBytes)).
		WithValueLogFileSize(16 << 20).
		WithBlockSize(16 << 10).
		WithBlockCacheSize(16 << 20).
		WithIndexCacheSize(16 << 20).
		WithCompression(options.ZSTD).
		WithZSTDCompressionLevel(1)
	tuned.TableSizeMultiplier = 1
	return tuned
}

// Inspection is a log that is looked at in a directory of its own. The directory that it is in is not changed, and may be on a volume
// that can't be written to. What is damaged is answered as a repair would leave it: whole, with gaps for what is lost.
type Inspection struct {
	*Store

	view   *view
	report *Report
	lock   *dirLock
}

// Inspect opens a log for reading only, whatever of it is damaged. It takes a temporary directory with room for what is sound of the
// damaged files and for the write-ahead logs, at most some MB. Nobody may write to the log meanwhile.
func Inspect(ctx context.Context, dir string, opts Options) (i *Inspection, err error) {
	opts = withDefaults(opts)
	lock, err := lockToRead(dir)
	if err != nil {
		return nil, err
	}
	i = &Inspection{lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.release())
		}
	}()
	if err := errors.Join(checkFinished(dir), checkNotImported(dir)); err != nil {
		return nil, err
	}
	found, err := examine(ctx, dir)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, noHistory(dir)
	}
	p, err := prepareSomewhere(ctx, found, opts)
	if err != nil {
		return nil, err
	}
	i.view, i.report = p.view, p.report
	if i.Store, err = p.view.open(); err == nil {
		err = i.loadViewed(opts)
	}
	if err != nil {
		return nil, errors.Join(err, p.view.remove())
	}
	return i, nil
}

// prepareSomewhere prepares a repair in the temporary directory or, if that can't be written to, in the storage directory.
func prepareSomewhere(ctx context.Context, found *salvage, opts Options) (*repair, error) {
	p, err := prepare(ctx, found, "", opts)
	if err == nil || !errors.Is(err, errNoRoom) {
		return p, err
	}
	if p, again := prepare(ctx, found, found.dir, opts); again == nil {
		return p, nil
	}
	return nil, history.Errorf(history.Invalid, "%v: set TMPDIR to a directory that can be written to", err)
}

// loadViewed takes up what the log says of itself.
func (s *Store) loadViewed(opts Options) error {
	s.retention = opts.Retention
	return s.db.View(func(txn *badger.Txn) error {
		version, err := get(txn, key.Format())
		if errors.Is(err, badger.ErrKeyNotFound) {
			return history.Errorf(history.Invalid, "%s does not hold a history", s.dir)
		}
		if err != nil {
			return err
		}
		if err := checkFormat(version, s.dir); err != nil {
			return err
		}
		return s.restore(txn)
	})
}

// Report returns what a repair would do.
func (i *Inspection) Report() *Report { return i.report }

// Close ends the inspection and removes its directory.
func (i *Inspection) Close() error {
	return errors.Join(i.Store.Close(), i.view.remove(), i.lock.release())
}

// lockToRead locks a directory against whoever would write to it. A file system without locks has nobody who could.
func lockToRead(dir string) (*dirLock, error) {
	lock, err := lockDir(dir)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, errLocked):
		return nil, inUse(dir)
	case history.CodeOf(err) == history.Invalid:
		return nil, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, noHistory(dir)
	default:
		return nil, history.Errorf(history.Invalid, "storage directory %s can't be read: %v", dir, err)
	}
}

// badgerLogger passes on what Badger says: its errors and warnings as warnings, since the caller sees the errors that
// matter, the rest for debugging only.
type badgerLogger struct{ log *slog.Logger }

func (l *badgerLogger) Errorf(f string, args ...any) { l.log.Warn("badger", "said", sentence{f, args}) }

func (l *badgerLogger) Warningf(f string, args ...any) {
	l.log.Warn("badger", "said", sentence{f, args})
}

func (l *badgerLogger) Infof(f string, args ...any) { l.log.Debug("badger", "said", sentence{f, args}) }

func (l *badgerLogger) Debugf(f string, args ...any) {
	l.log.Debug("badger", "said", sentence{f, args})
}

// sentence is put together only where it is logged.
type sentence struct {
	format string
	args   []any
}

// LogValue returns the sentence.
func (s sentence) LogValue() slog.Value {
	return slog.StringValue(strings.TrimSpace(fmt.Sprintf(s.format, s.args...)))
}
