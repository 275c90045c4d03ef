package daemon

import (
	"errors"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// hintOtherDirectory is the hint for a storage directory that can't be used.
const hintOtherDirectory = "Set storagePath (BADGER_PATH) to another directory."

// storageError adds a hint to an error of opening the database, if the database
// is damaged or the directory can't be used. Other errors, and errors with a
// hint, are returned as they are.
func storageError(err error) error {
	var hint string
	switch {
	case history.HintOf(err) != "":
		return err
	case errors.Is(err, store.ErrDamaged):
		hint = "Run 'watchhistory-recorder repair', restore a backup, " +
			"or set storagePath (BADGER_PATH) to another directory."
	case errors.Is(err, store.ErrTooManyTables):
		hint = "Raise the limit, or lower maxStorage."
	case history.CodeOf(err) == history.Invalid:
		hint = hintOtherDirectory
	default:
		return err
	}
	return history.WithHint(err, hint)
}

// streamError adds a hint to an error of [recorder.Recorder.Stream] if the
// database can't number another resource or kind. Other errors are returned as
// they are.
func streamError(err error) error {
	if errors.Is(err, store.ErrDictionaryFull) {
		return history.WithHint(err, hintOtherDirectory)
	}
	return err
}
