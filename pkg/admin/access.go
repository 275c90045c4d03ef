package admin

import (
	"context"
	"errors"
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

// access returns the keeper of a storage directory: the recorder that runs on it or, where none does, the directory's own log. What
// that has to complain of goes to errOut. The caller calls done, which ends what was opened.
func (t *target) access(ctx context.Context, storage string, errOut io.Writer) (log keeper, done func() error, err error) {
	r, err := newRemote(ctx, storage)
	if err == nil {
		return r, func() error { return nil }, nil
	}
	if !errors.Is(err, errNobody) {
		return nil, nil, err
	}
	if err := checkThere(storage); err != nil {
		return nil, nil, err
	}
	s, err := store.Open(storage, store.Options{Logger: warnings(errOut), Retention: endless})
	if err != nil {
		return nil, nil, err
	}
	return local{s, t.env.Program}, s.Close, nil
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
