package store

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxIdentities bounds how many identities are remembered: about 3 MB of them.
const maxIdentities = 8192

// identity is what an object number stands for, with the owners and the target that versions have which name none of their own.
// Nobody may change it.
type identity struct {
	ref       history.ObjectRef
	owners    []types.UID
	regarding *history.Target
}

// identities remembers which objects numbers stand for, for all readers: a page names as many objects as it has records. What a
// number stands for never changes, and only what is committed is ever remembered. It is safe for concurrent use.
type identities struct {
	mu sync.Mutex // guards of
	of map[uint64]identity
}

func newIdentities() *identities { return &identities{of: map[uint64]identity{}} }

func (i *identities) recall(object uint64) (identity, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	id, ok := i.of[object]
	return id, ok
}

// remember makes room by forgetting any of the others.
func (i *identities) remember(object uint64, id identity) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for other := range i.of {
		if len(i.of) < maxIdentities {
			break
		}
		delete(i.of, other)
	}
	i.of[object] = id
}
