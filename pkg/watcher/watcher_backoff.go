package watcher

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
)

// maxClientDelay bounds how long a server is left alone because it asks for
// it. Maintenance pages of proxies ask for hours.
const maxClientDelay = 2 * time.Minute

// backoff spaces attempts out: exponentially, with jitter, so that many
// watchers do not come at once.
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

// next returns how long to wait after err: at least for as long as the server
// asked for, within reason.
func (b *backoff) next(err error) time.Duration {
	d := min(b.steps.Step(), b.longest)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		d = max(d, min(time.Duration(seconds)*time.Second, maxClientDelay))
	}
	return d
}

// backoffs hold one back-off per kind of fault, so that none outlives its
// cause: a server that was away for long, and answers again, is not avoided
// for what it answers.
type backoffs [kinds]backoff

func newBackoffs(longest time.Duration) (all backoffs) {
	for k := range all {
		all[k] = newBackoff(longest)
	}
	return all
}

// reset begins again with the shortest waits.
func (b *backoffs) reset() {
	for k := range b {
		b[k].reset()
	}
}

// next returns how long to wait after err. Any answer of the server ends the
// back-off from one that does not answer.
func (b *backoffs) next(err error) time.Duration {
	k := kindOf(err)
	if k != unreachable {
		b[unreachable].reset()
	}
	return b[k].next(err)
}
