package badgerdir

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Options configure how Badger is opened.
type Options struct {
	Logger   *slog.Logger // required
	NoSync   bool         // don't sync the WAL after a commit
	MaxBytes int64        // the largest size of the database in bytes; 0: unknown
	MaxValue int64        // the largest value in bytes; larger ones go to a value log
}

// memtableSize is the size of a memtable in bytes.
//
// Badger builds a table of each memtable in a buffer that grows by doubling and
// is reused: 8 MB for a memtable of at most 3.7 MB, and 16 MB otherwise. The
// memtable can't be much smaller. A transaction takes at most 15 % of it, and
// must have room for the largest part of a body with its keys.
const memtableSize = 3 << 20

// maxMemtables is the largest number of memtables: one is written, two wait to
// be flushed.
const maxMemtables = 3

// The sizes of tables in bytes, compressed.
const (
	maxTableCount    = 50_000 // of the largest database
	minTableSize     = 256 << 10
	defaultTableSize = 1 << 20 // if the largest size of the database is unknown
)

// tableSize returns the size of the tables of a database with a largest size.
// Tables are as small as the number of open files permits.
//
// The buffers of tables in construction take most memory. Each is about ten
// times the table's size. A compaction uses a dozen, and Badger keeps up to
// eight. A buffer grows by doubling, from twice the table's size. So the size
// is a power of two: with a slightly larger one, the buffers would be twice as
// large.
func tableSize(maxBytes int64) int64 {
	if maxBytes == 0 {
		return defaultTableSize
	}
	size := int64(minTableSize)
	for size < maxBytes/maxTableCount {
		size *= 2
	}
	return size
}

// badgerOptions returns Badger's options: small memtables, caches and tables to
// limit memory, and no conflict detection, since the store commits one
// transaction at a time.
//
// Compaction of level 0 begins at two tables, so that there are rarely four. If
// Badger can't move four tables of level 0 down, it merges them within level 0,
// with a buffer of 256 MB.
func badgerOptions(dir string, o Options) badger.Options {
	opts := badger.DefaultOptions(dir).
		WithBypassLockGuard(ownLock).
		WithLogger(&logger{o.Logger}).
		WithSyncWrites(!o.NoSync).
		WithDetectConflicts(false).
		WithMetricsEnabled(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMemTableSize(memtableSize).
		WithValueThreshold(o.MaxValue).
		WithNumMemtables(maxMemtables - 1).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(10).
		WithNumCompactors(2).
		WithNumGoroutines(1).
		WithBaseTableSize(tableSize(o.MaxBytes)).
		WithValueLogFileSize(16 << 20).
		WithBlockSize(16 << 10).
		WithBlockCacheSize(48 << 20).
		WithIndexCacheSize(16 << 20).
		WithCompression(options.ZSTD).
		WithZSTDCompressionLevel(1)
	opts.TableSizeMultiplier = 1
	return opts
}

// Open opens a database that [Check] accepted, or creates one. It quarantines
// the WALs after a damaged one. The caller closes the database before it
// releases the directory's [Lock].
func Open(dir string, o Options) (*badger.DB, error) {
	if err := quarantineWAL(dir, o.Logger); err != nil {
		return nil, err
	}
	db, err := badger.Open(badgerOptions(dir, o))
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", dir, err)
	}
	return db, nil
}

// RemoveEmptyFiles removes empty WALs and value logs. A process that is killed
// can leave them, and Badger does not open them.
func RemoveEmptyFiles(dir string, logger *slog.Logger) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("list %s: %w", pattern, err)
		}
		for _, f := range files {
			if st, err := os.Stat(f); err != nil || st.Size() > 0 {
				continue
			}
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("remove empty file: %w", err)
			}
			logger.Info("removed an empty file of an earlier process", "path", f)
		}
	}
	return nil
}

// RemoveViews removes the views of processes that were killed.
func RemoveViews(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, viewPrefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// logger passes Badger's messages on. Errors are logged as warnings, because
// Badger also returns those that matter. The rest is logged at debug level.
type logger struct{ slog *slog.Logger }

// Errorf logs a warning.
func (l *logger) Errorf(f string, args ...any) { l.slog.Warn("badger", "message", message{f, args}) }

// Warningf logs a warning.
func (l *logger) Warningf(f string, args ...any) { l.slog.Warn("badger", "message", message{f, args}) }

// Infof logs at debug level.
func (l *logger) Infof(f string, args ...any) { l.slog.Debug("badger", "message", message{f, args}) }

// Debugf logs at debug level.
func (l *logger) Debugf(f string, args ...any) { l.slog.Debug("badger", "message", message{f, args}) }

// message is formatted only if it is logged.
type message struct {
	format string
	args   []any
}

// LogValue returns the formatted message without surrounding space.
func (m message) LogValue() slog.Value {
	return slog.StringValue(strings.TrimSpace(fmt.Sprintf(m.format, m.args...)))
}
