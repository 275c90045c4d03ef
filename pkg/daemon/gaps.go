package daemon

import (
	"context"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// recorded is the part of the log that queries and live gaps read.
type recorded interface {
	query.Reader
	Heads(ctx context.Context, resource schema.GroupResource) iter.Seq2[history.Head, error]
	Checkpoint(ctx context.Context, resource schema.GroupResource) (history.Checkpoint, error)
}

// observed is the log with the live gaps added. Queries read it, so that an
// answer never looks complete while a resource is not observed.
type observed struct {
	recorded
	live *gap.Live
}

// newObserved returns the log with the live gaps of the watchers. refused
// returns why the log rejects records at the moment, or nil.
func newObserved(log recorded, watchers *watcher.Set, refused func() error) *observed {
	return &observed{recorded: log, live: gap.NewLive(log, watchers, refused)}
}

// Gaps returns the durable and the live gaps.
func (o *observed) Gaps(
	ctx context.Context, resources []schema.GroupResource, start, end time.Time,
) ([]history.Gap, error) {
	return o.live.Gaps(ctx, resources, start, end)
}

// rememberIgnored stores which resources the current configuration ignores. It
// is called before the configuration is replaced, so that a resource that is
// recorded again gets a gap with that reason.
func (d *Daemon) rememberIgnored(ctx context.Context) {
	live, err := d.log.live.Current(ctx, nil)
	if err != nil {
		d.logger.WarnContext(ctx, "read live gaps failed, some gaps may get another reason", "err", err)
		return
	}
	d.ignored.Add(live)
}

// open returns the sink of a resource. If the configuration ignored the
// resource until now, it also returns that cause.
func (d *Daemon) open(ctx context.Context, r history.Resource) (watcher.Sink, gap.Cause, error) {
	s, err := d.recorder.Stream(ctx, r)
	if err != nil {
		return nil, gap.Cause{}, streamError(err)
	}
	return s, d.ignored.Take(r.GroupResource()), nil
}
