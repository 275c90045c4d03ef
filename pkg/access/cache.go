package access

import (
	"context"
	"crypto/sha256"
	"time"

	"golang.org/x/sync/singleflight"
	utilcache "k8s.io/apimachinery/pkg/util/cache"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// requestTimeout bounds one request to the API server.
const requestTimeout = 10 * time.Second

// key identifies a question. It is a hash, so that its size does not depend on
// what a client sends.
type key [sha256.Size]byte

// clock is the clock of [utilcache.LRUExpireCache].
type clock func() time.Time

// Now implements [utilcache.Clock].
func (c clock) Now() time.Time { return c() }

// cache keeps answers for a while. Concurrent equal questions share one
// request. It is safe for concurrent use.
//
// Errors are not cached: the next question is asked again.
type cache[V any] struct {
	now     clock
	life    func(V) time.Duration
	entries *utilcache.LRUExpireCache
	flights singleflight.Group
}

// newCache returns a cache of at most size answers. life returns for how long
// an answer may be used, counted from before its request.
func newCache[V any](now func() time.Time, size int, life func(V) time.Duration) *cache[V] {
	return &cache[V]{now: now, life: life, entries: utilcache.NewLRUExpireCacheWithClock(size, clock(now))}
}

// get returns the cached answer, or that of ask. A question that has begun goes
// on when ctx ends, because others may wait for its answer.
func (c *cache[V]) get(ctx context.Context, k key, ask func(context.Context) (V, error)) (V, error) {
	if v, ok := c.entries.Get(k); ok {
		return v.(V), nil //nolint:forcetypeassert,errcheck // entries has only values of this type
	}
	answer := c.flights.DoChan(string(k[:]), func() (any, error) {
		if v, ok := c.entries.Get(k); ok { // of a flight that has just ended
			return v, nil
		}
		start := c.now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		v, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		if left := c.life(v) - c.now().Sub(start); left > 0 {
			c.entries.Add(k, v, left)
		}
		return v, nil
	})
	var none V
	select {
	case a := <-answer:
		if a.Err != nil {
			return none, a.Err //nolint:wrapcheck // ask has named the operation
		}
		return a.Val.(V), nil //nolint:forcetypeassert,errcheck // the function above returns only this type
	case <-ctx.Done():
		return none, unavailable(ctx)
	}
}

// unavailable returns the error of a caller that stopped waiting.
func unavailable(ctx context.Context) error {
	return history.Errorf(history.Unavailable, "wait for the API server: %w", ctx.Err())
}
