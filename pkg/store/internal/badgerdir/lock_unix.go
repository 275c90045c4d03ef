//go:build unix

package badgerdir

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ownLock makes [Open] bypass Badger's lock. Badger locks the directory with
// the same lock, but too late: files that prevent it from opening must be
// removed before.
const ownLock = true

// lockError is the error of a directory whose file system rejects locks.
type lockError struct {
	dir string
	err error
}

// Error returns the system's error and the file system's name.
func (e *lockError) Error() string {
	text := fmt.Sprintf("storage directory %s can't be locked: flock: %v", e.dir, e.err)
	if errno, ok := errors.AsType[syscall.Errno](e.err); ok {
		text += fmt.Sprintf(" (%s)", unix.ErrnoName(errno))
	}
	if name := filesystem(e.dir); name != "" {
		text += ": it is on " + name
	}
	return text
}

// Unwrap returns a [history.Invalid] error and the system's error.
func (e *lockError) Unwrap() []error {
	return []error{&history.Error{
		Code: history.Invalid, Message: e.Error(), Hint: "Use a local disk or a block volume (ReadWriteOnce).",
	}, e.err}
}

// Lock is an exclusive lock on a directory. The kernel releases it when the
// process ends, even if it is killed.
type Lock struct{ dir *os.File }

// lockDir locks a directory. It does not wait.
func lockDir(dir string) (*Lock, error) {
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
	return &Lock{f}, nil
}

// Release releases the lock. A nil Lock is released already.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.dir.Close()
}
