package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxRetryDelay bounds the delay between two retries. Queued records are
// written at most this long after the log accepts writes again.
const maxRetryDelay = 10 * time.Second

// Run commits the records of the streams until ctx is canceled or a commit
// fails permanently. It is called once.
//
// When ctx is canceled, streams accept no more records and return [ErrStopped].
// Everything that they accepted before is committed within Options.StopWithin,
// and Run returns nil. So stop the watchers first, and cancel ctx afterwards.
//
// When a commit fails permanently, Run returns its error. All streams return it
// too, including those that are blocked.
func (r *Recorder) Run(ctx context.Context) error {
	work, cancel := graceContext(ctx, r.opts.StopWithin)
	defer cancel()
	// Streams must get an error at once, even if a commit hangs.
	stopClosing := context.AfterFunc(ctx, func() { r.queue.close(ErrStopped) })
	defer stopClosing()
	for ctx.Err() == nil {
		entries, next := r.queue.take()
		if len(entries) == 0 {
			r.waitForWork(ctx, next)
			continue
		}
		if err := r.commit(work, entries); err != nil {
			return err
		}
	}
	return r.drain(work)
}

// waitForWork waits until the queue signals, until the time next unless that is
// zero, or until ctx is canceled.
func (r *Recorder) waitForWork(ctx context.Context, next time.Time) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-r.queue.ready:
	case <-due:
	case <-ctx.Done():
	}
}

// graceContext returns a context that is canceled by the returned function,
// which the caller must call. Otherwise it is canceled once the duration within
// has passed since ctx was canceled.
func graceContext(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(within)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { stop(); cancel() }
}

// drain closes the queue and commits the entries that it holds.
func (r *Recorder) drain(ctx context.Context) error {
	r.queue.close(ErrStopped)
	for {
		entries, _ := r.queue.take()
		if len(entries) == 0 {
			return nil
		}
		if err := r.commit(ctx, entries); err != nil {
			return err
		}
	}
}

// commit commits the entries in one transaction. An error is final: the queue
// is closed, and the recorder must stop.
func (r *Recorder) commit(ctx context.Context, entries []*entry) error {
	b, began := batch(entries), time.Now()
	if err := r.retry(ctx, "commit", func() error { return r.append(ctx, b) }); err != nil {
		err = fmt.Errorf("commit %d records: %w", len(b.Versions), err)
		r.queue.close(err)
		return err
	}
	// The entries are durable: count them, and unblock the streams that wait.
	r.metrics.countCommit(entries, time.Since(began), r.opts.Now())
	r.queue.commit(entries)
	return nil
}

// append appends the batch within Options.CommitWithin. A log that hangs longer
// can't be read either.
func (r *Recorder) append(ctx context.Context, b *history.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.CommitWithin)
	defer cancel()
	return r.log.Append(ctx, b)
}

// retry calls write until it succeeds. It retries an Unavailable error as long
// as ctx lasts, and any other error Options.Retries times. It does not retry an
// Invalid error or a timeout. operation is for the log message.
func (r *Recorder) retry(ctx context.Context, operation string, write func() error) error {
	delay := r.opts.RetryDelay
	var failed *failedWrite
	defer func() { r.retried.remove(failed) }()
	for attempt := 1; ; attempt++ {
		err := write()
		if err == nil || r.isFinal(err, attempt) {
			return err
		}
		r.metrics.commitRetries.Inc()
		failed = r.retried.replace(failed, err)
		r.opts.Logger.WarnContext(ctx, "write to the log failed, retrying",
			"operation", operation, "attempt", attempt, "delay", delay, "err", err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

// isFinal reports whether an error of the given attempt, from 1, is not
// retried.
func (r *Recorder) isFinal(err error, attempt int) bool {
	switch code := history.CodeOf(err); {
	case code == history.Invalid, errors.Is(err, context.DeadlineExceeded):
		return true
	case code == history.Unavailable:
		return false
	default:
		return attempt > r.opts.Retries
	}
}

// batch joins the entries to one batch. Only the last checkpoint of each
// resource is kept: it covers the earlier ones.
func batch(entries []*entry) *history.Batch {
	b := &history.Batch{Versions: make([]history.NewVersion, 0, len(entries))}
	last := map[schema.GroupResource]int{}
	for _, e := range entries {
		b.Versions = append(b.Versions, e.records...)
		if e.gap != nil {
			b.Gaps = append(b.Gaps, *e.gap)
		}
		if e.checkpoint == nil {
			continue
		}
		resource := schema.GroupResource{Group: e.checkpoint.Group, Resource: e.checkpoint.Resource}
		if i, ok := last[resource]; ok {
			b.Checkpoints[i] = *e.checkpoint
			continue
		}
		last[resource] = len(b.Checkpoints)
		b.Checkpoints = append(b.Checkpoints, *e.checkpoint)
	}
	ownersFirst(b.Versions)
	return b
}

// ownersFirst moves owners before their dependents among the initial records at
// the beginning of a batch. These records come from lists, which have no order
// in time. Each is of another object, so no version overtakes an earlier one.
func ownersFirst(records []history.NewVersion) {
	n := 0
	for n < len(records) && records[n].Initial {
		n++
	}
	// The owners that are in the same list, by their positions. A depth-first
	// walk emits each owner before its dependents.
	listed := slices.Clone(records[:n])
	at := make(map[types.UID]int, n)
	for i, r := range listed {
		at[r.Ref.UID] = i
	}
	placed, next := make([]bool, n), 0
	var place func(i int)
	place = func(i int) {
		if placed[i] {
			return
		}
		placed[i] = true // before its owners: references may form a cycle
		for _, uid := range listed[i].Owners {
			if owner, ok := at[uid]; ok {
				place(owner)
			}
		}
		records[next] = listed[i]
		next++
	}
	for i := range listed {
		place(i)
	}
}

// wrap adds the operation and the resource to an error.
func wrap(operation string, resource schema.GroupResource, err error) error {
	return fmt.Errorf("%s %s: %w", operation, resource, err)
}
