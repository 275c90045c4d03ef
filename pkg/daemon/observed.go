package daemon

import (
	"cmp"
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// observed is the log together with what is not observed now. The log's own gaps are those that nothing can make up for; what
// is waited for may yet be caught up with, and until then it is missing just the same.
type observed struct {
	*store.Store
	states func() []watcher.Status
}

// Gaps returns the log's gaps and those that are open as long as a resource is waited for.
func (o *observed) Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error) {
	now, err := o.waiting(ctx) // first: what turns into a durable gap meanwhile is there twice rather than not at all
	if err != nil {
		return nil, err
	}
	gaps, err := o.Store.Gaps(ctx, resources, start, end)
	if err != nil {
		return nil, err
	}
	for _, g := range now {
		asked := len(resources) == 0 || slices.Contains(resources, g.GroupResource())
		known := slices.ContainsFunc(gaps, func(d history.Gap) bool {
			return d.GroupResource() == g.GroupResource() && d.Start.Equal(g.Start)
		})
		if asked && !known && g.Touches(start, end) {
			gaps = append(gaps, g)
		}
	}
	slices.SortStableFunc(gaps, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return gaps, nil
}

// waiting returns an open gap for each resource that was observed once and is not now. What was never observed has none.
func (o *observed) waiting(ctx context.Context) ([]history.Gap, error) {
	var gaps []history.Gap
	for _, status := range o.states() {
		if status.State != watcher.Waiting {
			continue
		}
		checkpoint, err := o.Checkpoint(ctx, status.Resource.GroupResource())
		if err != nil {
			return nil, err
		}
		if checkpoint.RV == "" { // never observed, or the log has an open gap
			continue
		}
		reason, detail := status.Cause, status.Reason
		if reason == "" {
			reason, detail = history.GapRestarted, "the recorder was restarted and catches up"
		}
		gaps = append(gaps, history.Gap{
			Group: checkpoint.Group, Resource: checkpoint.Resource, Start: checkpoint.Complete(), Reason: reason, Detail: detail,
		})
	}
	return gaps, nil
}

// open returns the gaps that are open now; none where the log can't be read, which shows elsewhere.
func (o *observed) open(ctx context.Context) []history.Gap {
	gaps, err := o.Gaps(ctx, nil, time.Now(), time.Time{})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(gaps, func(g history.Gap) bool { return !g.Open() })
}

// explain passes on why a resource is waited for, in case that this becomes a gap.
func (d *Daemon) explain(c watcher.Change) {
	if c.State == watcher.Waiting && c.Cause != "" {
		d.recorder.Explain(c.Resource.GroupResource(), c.Cause, c.Reason)
	}
}
