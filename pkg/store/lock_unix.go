//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ownLock says that [lockDir] locks, so that Badger need not: Badger takes the same lock, but only after it is too late
// to remove what keeps it from opening.
const ownLock = true

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked")

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
		return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
	}
	return &dirLock{f}, nil
}

func (l *dirLock) release() error { return l.dir.Close() }
