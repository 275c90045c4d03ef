package watcher

import (
	"context"
	"maps"
	"sync"
	"time"
)

// unreachableCause is what those wait for to pass that can't reach the server.
const unreachableCause = "unreachable"

// breather is how long a cause has to stay away for its passing to be told
// again.
const breather = 10 * time.Second

// recovery lets watchers that wait for the same cause to pass learn from each
// other that it has. The first one to get through ends the back-off of all.
// It is safe for concurrent use.
type recovery struct {
	mu    sync.Mutex // guards what follows
	waits map[string]*passing
	last  map[string]time.Time // when causes passed, as long as that matters
}

// passing is a cause that somebody waits for to pass.
type passing struct {
	waiters int
	passed  chan struct{} // closed once it has
}

func newRecovery() *recovery {
	return &recovery{waits: map[string]*passing{}, last: map[string]time.Time{}}
}

// of returns a channel that is closed when the cause has passed, and how to
// give it back.
func (r *recovery) of(cause string) (passed <-chan struct{}, leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.waits[cause]
	if p == nil {
		p = &passing{passed: make(chan struct{})}
		r.waits[cause] = p
	}
	p.waiters++
	return p.passed, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if p.waiters--; p.waiters == 0 && r.waits[cause] == p {
			delete(r.waits, cause)
		}
	}
}

// over reports that the cause has passed. If it comes back within breather,
// and passes again, nobody learns it: a server that is there for a moment only
// must not keep everybody busy.
func (r *recovery) over(cause string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(r.last, func(_ string, at time.Time) bool { return now.Sub(at) >= breather })
	p := r.waits[cause]
	if _, soon := r.last[cause]; soon || p == nil {
		return
	}
	r.last[cause] = now
	close(p.passed)
	delete(r.waits, cause)
}

// sleep waits for d or until the cause has passed, but never less than least.
// It reports false once ctx is done.
func (r *recovery) sleep(ctx context.Context, d, least time.Duration, cause string) bool {
	if cause == "" || d <= least {
		return sleep(ctx, d)
	}
	passed, leave := r.of(cause)
	defer leave()
	if !sleep(ctx, least) {
		return false
	}
	t := time.NewTimer(d - least)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-passed:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// sleep reports whether d passed before ctx was done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
