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

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// endless is the retention of a log that nobody records: of what is there, all is answered.
const endless = 100 * 365 * 24 * time.Hour

// access returns the keeper of a storage directory: the recorder that runs on it or, if none does, the directory's own log, which is only
// read. What is damaged in that, and so is left out, is printed to errOut. The caller calls done, which ends what was opened.
func (t *target) access(ctx context.Context, storage string, errOut io.Writer) (log keeper, done func() error, err error) {
	r, err := newRemote(ctx, storage)
	if err == nil {
		return r, func() error { return nil }, nil
	}
	if !errors.Is(err, errNobody) {
		return nil, nil, err
	}
	i, err := t.inspect(ctx, storage, errOut)
	if err != nil {
		return nil, nil, err
	}
	if i.Report().Damaged() {
		_, _ = fmt.Fprintf(errOut, "the history in %s is damaged; what can be read is written:\n", storage)
		tell(errOut, i.Report())
	}
	return local{i.Store, t.env.Program}, i.Close, nil
}

// inspect opens a storage directory's log for reading.
func (t *target) inspect(ctx context.Context, storage string, errOut io.Writer) (*store.Inspection, error) {
	if err := checkThere(storage); err != nil {
		return nil, err
	}
	return store.Inspect(ctx, storage, store.Options{Logger: warnings(errOut), Retention: endless})
}

// checkThere refuses a directory without a history: opening it would make one.
func checkThere(storage string) error {
	entries, err := os.ReadDir(storage)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return history.Errorf(history.Invalid, "storage directory %s can't be read: %v", storage, err)
	}
	for _, e := range entries {
		if e.Name() == "MANIFEST" || filepath.Ext(e.Name()) == ".sst" {
			return nil
		}
	}
	return history.Errorf(history.Invalid, "storage directory %s holds no history: name the recorder's with --storage", storage)
}
