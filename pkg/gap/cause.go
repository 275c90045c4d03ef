package gap

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Cause is why changes of a resource are not observed. The zero Cause means
// that no cause is known.
type Cause struct {
	Reason history.GapReason // the code
	Detail string            // the text, for people
}

// None reports whether no cause is known.
func (c Cause) None() bool { return c.Reason == "" }

// Causes chooses the cause that explains an interruption best. The zero value
// is ready to use, by one goroutine at a time.
type Causes struct{ best Cause }

// Add offers a cause. The latest cause wins, with two exceptions:
//
//   - A more specific cause is kept. The API server's own error is more
//     specific than the timeout of the next attempt.
//   - [history.GapExpired] never replaces a cause, because it is the reason of
//     every gap that has no other cause.
func (c *Causes) Add(cause Cause) {
	switch {
	case cause.None(), cause.Reason == history.GapExpired:
	case !c.best.None() && c.best.Reason.MoreSpecificThan(cause.Reason):
	default:
		c.best = cause
	}
}

// Reset removes the chosen cause, because the resource was observed again. The
// cause does not explain a later interruption.
func (c *Causes) Reset() { c.best = Cause{} }

// Best returns the chosen cause. It is the zero Cause if there was none since
// the last Reset.
func (c *Causes) Best() Cause { return c.best }

// Ignored keeps which resources the configuration ignored, until they are
// recorded again. If their watches can't be resumed then, that is the cause.
//
// The zero value is ready to use. It is safe for concurrent use.
type Ignored struct {
	mu      sync.Mutex // guards details
	details map[schema.GroupResource]string
}

// Add keeps the resources of live gaps that the configuration is the cause of.
// Gaps with other reasons are skipped.
func (i *Ignored) Add(live []history.Gap) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.details == nil {
		i.details = map[schema.GroupResource]string{}
	}
	for _, g := range live {
		if g.Reason == history.GapNotConfigured {
			i.details[g.GroupResource()] = g.Detail
		}
	}
}

// Take removes a resource and returns why it was not observed until now. It
// returns the zero Cause if the configuration did not ignore it.
func (i *Ignored) Take(r schema.GroupResource) Cause {
	i.mu.Lock()
	defer i.mu.Unlock()
	detail, ok := i.details[r]
	if !ok {
		return Cause{}
	}
	delete(i.details, r)
	return Cause{Reason: history.GapNotConfigured, Detail: detail}
}
