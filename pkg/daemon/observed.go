package daemon

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// recorded is what is asked of the log: what is read, and how far each resource is.
type recorded interface {
	query.Reader
	Heads(ctx context.Context, resource schema.GroupResource) iter.Seq2[history.Head, error]
	Checkpoint(ctx context.Context, resource schema.GroupResource) (history.Checkpoint, error)
}

// observed is the log together with what is not observed now. The log's own gaps are those that nothing can make up for; what
// is waited for may yet be caught up with, and until then it is missing just the same.
type observed struct {
	recorded
	watchers *watcher.Set
	refused  func() error // why what is observed can't be written; nil where it can
	ended    sync.Map     // of resources that are served no longer, the checkpoint as of which all objects were seen to be deleted
}

// Gaps returns the log's gaps and those that are open as long as a resource is not observed.
func (o *observed) Gaps(ctx context.Context, resources []schema.GroupResource, start, end time.Time) ([]history.Gap, error) {
	now, err := o.waiting(ctx, resources) // first: what turns into a durable gap meanwhile is there twice rather than not at all
	if err != nil {
		return nil, err
	}
	gaps, err := o.recorded.Gaps(ctx, resources, start, end)
	if err != nil {
		return nil, err
	}
	for _, g := range now {
		known := slices.ContainsFunc(gaps, func(d history.Gap) bool {
			return d.GroupResource() == g.GroupResource() && (d.Open() || d.Start.Equal(g.Start))
		})
		if !known && g.Touches(start, end) {
			gaps = append(gaps, g)
		}
	}
	slices.SortStableFunc(gaps, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return gaps, nil
}

// waiting returns an open gap for each of the resources, or of all where none is given, that was observed once and is not now.
// What was never observed has none, unless it can't be: then an empty answer would say that nothing happens.
func (o *observed) waiting(ctx context.Context, resources []schema.GroupResource) ([]history.Gap, error) {
	states := map[schema.GroupResource]watcher.Status{}
	for _, status := range o.watchers.States() {
		states[status.Resource.GroupResource()] = status
	}
	if len(resources) == 0 {
		catalogue, err := o.Resources(ctx)
		if err != nil {
			return nil, err
		}
		resources = all(catalogue, states)
	}
	var gaps []history.Gap
	for _, r := range resources {
		status, known := states[r]
		reason, detail := o.unseen(r, status, known)
		if reason == "" && known {
			continue
		}
		checkpoint, err := o.Checkpoint(ctx, r)
		if err == nil && reason == "" {
			reason, detail, err = o.unended(ctx, checkpoint)
		}
		if err != nil {
			return nil, err
		}
		if reason == "" {
			continue
		}
		start := checkpoint.GapStart(time.Now())
		switch never := checkpoint.RV == "" && checkpoint.Time.IsZero(); {
		case never && missed(status):
			start = status.Since.UTC()
		// Without an RV it was never observed, its first list is not at its end, or the log has an open gap.
		case never, checkpoint.RV == "" && known && status.State == watcher.Waiting:
			continue
		}
		gaps = append(gaps, history.Gap{Group: r.Group, Resource: r.Resource, Start: start, Reason: reason, Detail: detail})
	}
	return gaps, nil
}

// all returns the resources of the catalogue, and those of which it can't be told
// whether there are any.
func all(catalogue []history.Resource, states map[schema.GroupResource]watcher.Status) (resources []schema.GroupResource) {
	known := map[schema.GroupResource]bool{}
	for _, r := range catalogue {
		known[r.GroupResource()] = true
		resources = append(resources, r.GroupResource())
	}
	for r, status := range states {
		if !known[r] && missed(status) && status.Cause == history.GapServerError {
			resources = append(resources, r)
		}
	}
	return resources
}

// missed reports whether a resource that was never observed can't be. One that
// was only discovered and is refused is nobody's mistake, and the server asks to
// come later while it establishes a CRD.
func missed(s watcher.Status) bool {
	return s.State == watcher.Waiting && s.Cause != "" && !s.Establishing(time.Now()) && (s.Configured || !s.Refused)
}

// unseen tells why changes of a resource are not seen now; "" where they are, or where there is nothing to see.
func (o *observed) unseen(r schema.GroupResource, status watcher.Status, known bool) (history.GapReason, string) {
	switch {
	case !known:
		return o.watchers.Absence(r)
	case status.State == watcher.Waiting && status.Cause == "":
		return history.GapRestarted, "the recorder was restarted and catches up"
	case status.State == watcher.Waiting, status.State == watcher.Ignored:
		return status.Cause, status.Reason
	}
	if err := o.refused(); err != nil {
		return history.GapStorage, err.Error()
	}
	return "", ""
}

// unended tells why changes of a resource are missing of which nothing can be seen any more: with its definition its objects went,
// and where the recorder did not see that, they seem to be alive. That there are none is looked up once, since many may have been.
func (o *observed) unended(ctx context.Context, of history.Checkpoint) (reason history.GapReason, detail string, err error) {
	r := schema.GroupResource{Group: of.Group, Resource: of.Resource}
	if known, ok := o.ended.Load(r); ok && known == of {
		return "", "", nil
	}
	for _, err := range o.Heads(ctx, r) {
		return history.GapNotServed, "it is served no longer, and not all of its objects were seen to be deleted", err
	}
	o.ended.Store(r, of)
	return "", "", nil
}

// open returns the gaps that are open now; none where the log can't be read, which shows elsewhere.
func (o *observed) open(ctx context.Context) []history.Gap {
	gaps, err := o.Gaps(ctx, nil, time.Now(), time.Time{})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(gaps, func(g history.Gap) bool { return !g.Open() })
}

// explain counts that a resource can't be observed, and passes on why, in case that this becomes a gap.
func (d *Daemon) explain(c watcher.Change) {
	if c.State == watcher.Waiting && c.Cause != "" {
		d.failures.add(cause{c.Resource.GroupResource(), c.Cause})
		d.recorder.Explain(c.Resource.GroupResource(), c.Cause, c.Reason)
	}
}
