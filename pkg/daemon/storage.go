package daemon

import (
	"errors"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// storageError adds a remedy to an error of opening the database, if the
// database is damaged or the directory can't be used. Other errors are returned
// as they are.
func storageError(err error) error {
	switch {
	case errors.Is(err, store.ErrDamaged):
		return fmt.Errorf("%w: run watchhistory-recorder repair, restore a backup, or set storagePath (BADGER_PATH) to another directory", err)
	case history.CodeOf(err) == history.Invalid:
		return fmt.Errorf("%w: set storagePath (BADGER_PATH) to another directory", err)
	default:
		return err
	}
}
