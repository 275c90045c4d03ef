//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ownLock says that [lockDir] locks, so that Badger need not: Badger takes the same lock, but only after it is too late
// to remove what keeps it from opening.
const ownLock = true

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked")

// lockError says that a directory's file system refuses locks.
type lockError struct {
	dir string
	err error
}

// Error names the error of the system and the file system.
func (e *lockError) Error() string {
	text := fmt.Sprintf("storage directory %s can't be locked: flock: %v", e.dir, e.err)
	if errno, ok := errors.AsType[syscall.Errno](e.err); ok {
		text += fmt.Sprintf(" (%s)", unix.ErrnoName(errno))
	}
	if name := filesystem(e.dir); name != "" {
		text += ": it is on " + name
	}
	return text + ": use a local disk or a block volume (ReadWriteOnce), or set storagePath (BADGER_PATH) to a directory on one"
}

// Unwrap returns the message as one for the user, and the error of the system.
func (e *lockError) Unwrap() []error {
	return []error{&history.Error{Code: history.Invalid, Message: e.Error()}, e.err}
}

// dirLock is an exclusive lock on a directory. The kernel releases it when the process ends, however it ends.
type dirLock struct{ dir *os.File }

func lockDir(dir string) (*dirLock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(errLocked, f.Close())
	case err != nil:
		return nil, errors.Join(&lockError{dir, err}, f.Close())
	}
	return &dirLock{f}, nil
}

// release gives the lock up. There may be none.
func (l *dirLock) release() error {
	if l == nil {
		return nil
	}
	return l.dir.Close()
}
