package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// access performs the operations of commands on a log: on one that this process
// opened, or through the socket of a running recorder.
//
// An error that a running recorder returns has its code, its text and its hint,
// but not its cause.
type access interface {
	Backup(ctx context.Context, w io.Writer, from store.Position, progress store.Progress) (store.Position, error)
	Verify(ctx context.Context, report func(store.Damage), progress store.Progress) (store.Verification, error)
	Export(ctx context.Context, w io.Writer, sel Selection, progress archive.Progress) (Exported, error)
}

// unlimitedRetention is the retention of a log that no recorder writes, so that
// everything in the directory is returned.
const unlimitedRetention = 100 * 365 * 24 * time.Hour

// openAccess returns access to the log of the recorder that runs on a storage
// directory. If none runs, it opens the directory's log for reading, and prints
// damage to errOut. The caller must call closeAccess.
func (f *storageFlags) openAccess(
	ctx context.Context, storage string, errOut io.Writer,
) (a access, closeAccess func() error, err error) {
	r, err := newRemote(ctx, storage)
	if err == nil {
		return r, func() error { return nil }, nil
	}
	// After any other error, a recorder may hold the directory, so opening it
	// would fail.
	if !errors.Is(err, errNoRecorder) {
		return nil, nil, err
	}
	i, err := f.inspect(ctx, storage, errOut)
	if err != nil {
		return nil, nil, err
	}
	if i.Report().Damaged() {
		_, _ = fmt.Fprintf(errOut, "the history in %s is damaged; writing what can be read:\n", storage)
		printReport(errOut, i.Report())
	}
	return local{i.Store, f.env.Program}, i.Close, nil
}

// inspect opens the log of a storage directory for reading. The caller must
// close it.
func (f *storageFlags) inspect(ctx context.Context, storage string, errOut io.Writer) (*store.Inspection, error) {
	if err := checkHasHistory(storage); err != nil {
		return nil, err
	}
	i, err := store.Inspect(ctx, storage, store.Options{Logger: newLogger(errOut), Retention: unlimitedRetention})
	return i, inspectError(err)
}

// inspectError adds a hint to an error of [store.Inspect] or [store.Forecast]
// if no temporary directory can be created. Other errors are returned as they
// are.
func inspectError(err error) error {
	if errors.Is(err, store.ErrNoDirectory) {
		return history.WithHint(err, "Set TMPDIR to a writable directory.")
	}
	return err
}

// checkHasHistory rejects a directory without a history. Opening it would
// create one. A table is enough, because a repair can restore the manifest.
func checkHasHistory(storage string) error {
	entries, err := os.ReadDir(storage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return history.Errorf(history.Invalid, "read storage directory %s: %v", storage, err)
	}
	for _, e := range entries {
		if e.Name() == "MANIFEST" || filepath.Ext(e.Name()) == ".sst" {
			return nil
		}
	}
	return history.WithHint(history.Errorf(history.Invalid, "storage directory %s contains no history", storage),
		"Give the recorder's directory with --storage.")
}
