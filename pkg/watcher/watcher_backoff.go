package watcher

import (
	"context"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// maxClientDelay bounds a Retry-After of the API server. Maintenance pages of
// proxies have values of hours.
const maxClientDelay = 2 * time.Minute

// backoff delays attempts: exponentially, with jitter, so that many watchers do
// not retry at the same time. It must be used by one goroutine.
type backoff struct {
	shortest, longest time.Duration
	steps             wait.Backoff
}

func newBackoff(longest time.Duration) backoff {
	b := backoff{shortest: min(250*time.Millisecond, longest), longest: longest}
	b.reset()
	return b
}

// reset makes the next delay the shortest.
func (b *backoff) reset() {
	b.steps = wait.Backoff{Duration: b.shortest, Factor: 2, Jitter: 0.5, Steps: 64, Cap: b.longest}
}

// next returns the delay after err. It is at least the Retry-After of the API
// server, but at most maxClientDelay because of it.
func (b *backoff) next(err error) time.Duration {
	d := min(b.steps.Step(), b.longest)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		d = max(d, min(time.Duration(seconds)*time.Second, maxClientDelay))
	}
	return d
}

// backoffs has one back-off for each class of errors, so that none outlives its
// cause. After a long outage, the API server's first error is retried soon.
type backoffs [errorClasses]backoff

func newBackoffs(longest time.Duration) (all backoffs) {
	for c := range all {
		all[c] = newBackoff(longest)
	}
	return all
}

// reset makes the next delay of each class the shortest.
func (b *backoffs) reset() {
	for c := range b {
		b[c].reset()
	}
}

// next returns the delay after err. Any answer of the API server resets the
// back-off of outages.
func (b *backoffs) next(err error) time.Duration {
	c := errorClassOf(err)
	if c != unreachable {
		b[unreachable].reset()
	}
	return b[c].next(err)
}

// unreachableOutage is the key of the outage in which the API server can't be
// reached.
const unreachableOutage = "unreachable"

// outageQuietTime is how long an outage has to stay over before its next end is
// announced.
const outageQuietTime = 10 * time.Second

// outages shortens the back-off of watchers that wait for the end of the same
// outage: the first one that succeeds ends the back-off of all. An outage is
// identified by a text, such as the API server's error. It is safe for
// concurrent use.
type outages struct {
	mu      sync.Mutex // guards the fields below
	current map[string]*outage
	ended   map[string]time.Time // when outages ended, within outageQuietTime
}

// outage is an outage whose end at least one watcher waits for.
type outage struct {
	waiters int
	over    chan struct{} // closed when the outage has ended
}

func newOutages() *outages {
	return &outages{current: map[string]*outage{}, ended: map[string]time.Time{}}
}

// join returns a channel that is closed when the outage ends. The caller calls
// leave when it does not wait any more.
func (o *outages) join(key string) (over <-chan struct{}, leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	current := o.current[key]
	if current == nil {
		current = &outage{over: make(chan struct{})}
		o.current[key] = current
	}
	current.waiters++
	return current.over, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if current.waiters--; current.waiters == 0 && o.current[key] == current {
			delete(o.current, key)
		}
	}
}

// end reports that the outage is over. It wakes no watcher if the same outage
// ended within outageQuietTime before. Otherwise an unstable API server would
// keep all watchers busy.
func (o *outages) end(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(o.ended, func(_ string, at time.Time) bool { return now.Sub(at) >= outageQuietTime })
	current := o.current[key]
	if _, recently := o.ended[key]; recently || current == nil {
		return
	}
	o.ended[key] = now
	close(current.over)
	delete(o.current, key)
}

// sleep waits for d or until the outage ends, but at least for least. The key
// "" means no outage. It returns false if ctx is done.
func (o *outages) sleep(ctx context.Context, d, least time.Duration, key string) bool {
	if key == "" || d <= least {
		return sleep(ctx, d)
	}
	over, leave := o.join(key)
	defer leave()
	if !sleep(ctx, least) {
		return false
	}
	t := time.NewTimer(d - least)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-over:
	case <-t.C:
	}
	return ctx.Err() == nil
}

// sleep waits for d. It returns false if ctx is done.
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
