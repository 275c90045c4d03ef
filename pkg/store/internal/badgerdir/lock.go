package badgerdir

import (
	"errors"
	"os"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// errLocked is returned by [lockDir] if another process holds the lock.
var errLocked = errors.New("locked")

// Claim creates a directory if it does not exist, locks it, and checks that
// files can be created in it. The caller must release the lock. A directory
// that can't be used is a [history.Invalid] error.
func Claim(dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Unwritable(dir, err)
	}
	lock, err := lockDir(dir)
	if errors.Is(err, errLocked) {
		return nil, inUse(dir)
	}
	if history.CodeOf(err) == history.Invalid {
		return nil, err
	}
	if err != nil {
		return nil, Unwritable(dir, err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, errors.Join(Unwritable(dir, err), lock.Release())
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, errors.Join(Unwritable(dir, err), lock.Release())
	}
	return lock, nil
}

// LockForReading locks a directory against processes that would write to it.
// It creates no file. It returns nil and no error if the file system has no
// locks: no process can open the database there. A missing directory is an
// [os.ErrNotExist] error.
func LockForReading(dir string) (*Lock, error) {
	lock, err := lockDir(dir)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, errLocked):
		return nil, inUse(dir)
	case history.CodeOf(err) == history.Invalid:
		return nil, nil
	case errors.Is(err, os.ErrNotExist):
		return nil, err
	default:
		return nil, history.Errorf(history.Invalid, "storage directory %s can't be read: %v", dir, err)
	}
}

func inUse(dir string) error {
	return history.Errorf(history.Invalid, "storage directory %s is in use by another process", dir)
}

// Unwritable returns the [history.Invalid] error of a directory in which a file
// can't be created, read or changed.
func Unwritable(dir string, err error) error {
	return history.Errorf(history.Invalid, "storage directory %s can't be written: %v", dir, err)
}

// RemoveUnused removes a directory with its files, unless a process has locked
// it. It removes nothing if the system has no locks that end with their
// process.
func RemoveUnused(dir string) (removed bool, err error) {
	if !ownLock {
		return false, nil
	}
	lock, err := lockDir(dir)
	if errors.Is(err, errLocked) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(os.RemoveAll(dir), lock.Release())
}
