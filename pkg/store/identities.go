package store

import (
	"sync"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxIdentities bounds how many identities are remembered: about 2 MB of them.
const maxIdentities = 8192

// identities remembers which objects numbers stand for, for all readers: a page names as many objects as it has records. What a
// number stands for never changes, and only what is committed is ever remembered. It is safe for concurrent use.
type identities struct {
	mu sync.Mutex // guards of
	of map[uint64]history.ObjectRef
}

func newIdentities() *identities { return &identities{of: map[uint64]history.ObjectRef{}} }

func (i *identities) recall(object uint64) (history.ObjectRef, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	ref, ok := i.of[object]
	return ref, ok
}

// remember makes room by forgetting any of the others.
func (i *identities) remember(object uint64, ref history.ObjectRef) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for other := range i.of {
		if len(i.of) < maxIdentities {
			break
		}
		delete(i.of, other)
	}
	i.of[object] = ref
}
