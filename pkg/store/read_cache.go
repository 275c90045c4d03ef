package store

import (
	"sync"
)

// bounded is a map that makes room by forgetting any of its entries. It is safe for concurrent use.
type bounded[K comparable, V any] struct {
	most int
	drop func(V) // called for each removed value; may be nil

	mu sync.Mutex // guards of
	of map[K]V
}

func newBounded[K comparable, V any](most int) *bounded[K, V] {
	return &bounded[K, V]{most: most, of: map[K]V{}}
}

func (b *bounded[K, V]) get(k K) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.of[k]
	return v, ok
}

func (b *bounded[K, V]) put(k K, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(k)
	for other := range b.of {
		if len(b.of) < b.most {
			break
		}
		b.remove(other)
	}
	b.of[k] = v
}

func (b *bounded[K, V]) forget(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(k)
}

// keep removes all entries whose key doesn't match.
func (b *bounded[K, V]) keep(kept func(K) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k := range b.of {
		if !kept(k) {
			b.remove(k)
		}
	}
}

// remove removes an entry. The caller holds the lock.
func (b *bounded[K, V]) remove(k K) {
	v, ok := b.of[k]
	if ok && b.drop != nil {
		b.drop(v)
	}
	delete(b.of, k)
}
