package store

import "sync"

// bounded is a map that makes room by forgetting any of its entries. It is safe for concurrent use.
type bounded[K comparable, V any] struct {
	most int

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
	if _, there := b.of[k]; !there {
		for other := range b.of {
			if len(b.of) < b.most {
				break
			}
			delete(b.of, other)
		}
	}
	b.of[k] = v
}

func (b *bounded[K, V]) forget(k K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, k)
}
