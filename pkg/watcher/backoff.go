package watcher

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// backoff spaces attempts out: exponentially, with jitter, so that many watchers do not come at once.
type backoff struct {
	shortest, longest time.Duration
	steps             wait.Backoff
}

func newBackoff(longest time.Duration) backoff {
	b := backoff{shortest: min(250*time.Millisecond, longest), longest: longest}
	b.reset()
	return b
}

// reset begins again with the shortest wait.
func (b *backoff) reset() {
	b.steps = wait.Backoff{Duration: b.shortest, Factor: 2, Jitter: 0.5, Steps: 64, Cap: b.longest}
}

// next returns how long to wait after err: at least for as long as the server asked for.
func (b *backoff) next(err error) time.Duration {
	d := min(b.steps.Step(), b.longest)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		d = max(d, time.Duration(seconds)*time.Second)
	}
	return d
}
