//go:build !unix

package store

import "errors"

// ownLock says that Badger locks the directory by its own means.
const ownLock = false

// errLocked is never returned here: Badger has its own error.
var errLocked = errors.New("locked")

// dirLock stands in for a lock that Badger takes itself.
type dirLock struct{}

func lockDir(string) (*dirLock, error) { return &dirLock{}, nil }

func (*dirLock) release() error { return nil }
