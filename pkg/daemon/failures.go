package daemon

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// cause is why a resource can't be observed.
type cause struct {
	schema.GroupResource

	reason history.GapReason
}

// failures counts how often resources could not be observed any more. The zero value is ready; it is safe for concurrent use.
type failures struct {
	mu    sync.Mutex // guards total
	total map[cause]uint64
}

func (f *failures) add(c cause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total == nil {
		f.total = map[cause]uint64{}
	}
	f.total[c]++
}

func (f *failures) counts() map[cause]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.total)
}
