package store

import "sync"

// boundedCache is a map that evicts arbitrary entries once it is full. It is
// safe for concurrent use.
type boundedCache[K comparable, V any] struct {
	most    int     // the largest number of entries
	onEvict func(V) // called with mu held for each removed value; may be nil

	mu sync.Mutex
	of map[K]V
}

func newBoundedCache[K comparable, V any](most int) *boundedCache[K, V] {
	return &boundedCache[K, V]{most: most, of: map[K]V{}}
}

// get returns the value of k, and whether there is one.
func (b *boundedCache[K, V]) get(k K) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.of[k]
	return v, ok
}

// put sets an entry, and evicts others if the cache is full.
func (b *boundedCache[K, V]) put(k K, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(k)
	for other := range b.of {
		if len(b.of) < b.most {
			break
		}
		b.removeLocked(other)
	}
	b.of[k] = v
}

// remove removes an entry if there is one.
func (b *boundedCache[K, V]) remove(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.removeLocked(k)
}

// retain removes the entries for which keep returns false.
func (b *boundedCache[K, V]) retain(keep func(K) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.of {
		if !keep(k) {
			b.removeLocked(k)
		}
	}
}

// removeLocked removes an entry if there is one. The caller holds mu.
func (b *boundedCache[K, V]) removeLocked(k K) {
	v, ok := b.of[k]
	if ok && b.onEvict != nil {
		b.onEvict(v)
	}
	delete(b.of, k)
}
