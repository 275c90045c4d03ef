//go:build !unix

package badgerdir

// ownLock makes [Open] leave locking to Badger.
const ownLock = false

// Lock is a placeholder: Badger locks the directory when it opens it.
type Lock struct{}

func lockDir(string) (*Lock, error) { return &Lock{}, nil }

// Release does nothing.
func (*Lock) Release() error { return nil }
