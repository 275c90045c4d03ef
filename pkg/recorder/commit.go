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

// maxRetryDelay bounds how long the log is left alone that can take nothing now: what waits is written so soon after it can.
const maxRetryDelay = 10 * time.Second

// Run commits what the streams accept until ctx ends or a commit fails for good. It is called once.
//
// When ctx ends, streams accept nothing more and answer [ErrStopped]; everything that they accepted before is committed
// within Options.StopWithin, and Run returns nil. So the watchers are stopped first and Run's context ends after that. When a
// commit fails for good, Run returns its error, and so does every stream, those that are blocked included.
func (r *Recorder) Run(ctx context.Context) error {
	work, cancel := outlive(ctx, r.opts.StopWithin)
	defer cancel()
	refuse := context.AfterFunc(ctx, func() { r.queue.close(ErrStopped) }) // at once, also when a commit hangs
	defer refuse()
	for ctx.Err() == nil {
		entries, next := r.queue.take()
		if len(entries) == 0 {
			r.await(ctx, next)
			continue
		}
		if err := r.commit(work, entries); err != nil {
			return err
		}
	}
	return r.drain(work)
}

// await returns when the queue has to be looked at again.
func (r *Recorder) await(ctx context.Context, next time.Time) {
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

// outlive returns a context that ends only this long after ctx did, or with the returned function.
func outlive(ctx context.Context, within time.Duration) (context.Context, context.CancelFunc) {
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

// drain commits what was accepted before the queue closed.
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

// commit makes the entries durable. It ends with an error only when the recorder has to end.
func (r *Recorder) commit(ctx context.Context, entries []*entry) error {
	b, began := batch(entries), time.Now()
	if err := r.insist(ctx, "commit", func() error { return r.append(ctx, b) }); err != nil {
		err = fmt.Errorf("commit %d records: %w", len(b.Records), err)
		r.queue.close(err)
		return err
	}
	r.opts.CommitDuration.Observe(time.Since(began).Seconds())
	now := r.opts.Now()
	for _, e := range entries {
		e.stream.count(e, now)
	}
	r.batches.Add(1)
	r.lastCommit.Store(now.UnixNano())
	r.queue.commit(entries)
	return nil
}

// append bounds how long the log may take. One that takes longer can't be read either.
func (r *Recorder) append(ctx context.Context, b *history.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, r.opts.CommitWithin)
	defer cancel()
	return r.log.Append(ctx, b)
}

// insist tries again what the log did not do: for a while where it failed, as long as ctx lasts where it says that it can't
// now, and not at all where it never will.
func (r *Recorder) insist(ctx context.Context, what string, do func() error) error {
	delay := r.opts.RetryDelay
	for retry := 1; ; retry++ {
		err := do()
		if err == nil || r.final(err, retry) {
			r.refused.Store(nil)
			return err
		}
		r.retries.Add(1)
		r.refused.Store(&err)
		r.opts.Logger.WarnContext(ctx, "the log did not take what is to be written, and is asked again", "to", what, "retry", retry, "in", delay, "err", err)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return err
		}
		delay = min(2*delay, maxRetryDelay)
	}
}

// final tells whether an error of the log stands, the first time that it comes or after so many retries.
func (r *Recorder) final(err error, retry int) bool {
	switch code := history.CodeOf(err); {
	case code == history.Invalid, errors.Is(err, context.DeadlineExceeded):
		return true
	case code == history.Unavailable:
		return false
	default:
		return retry > r.opts.Retries
	}
}

// batch joins the entries; of each resource's checkpoints the last one stays.
func batch(entries []*entry) *history.Batch {
	b := &history.Batch{Records: make([]*history.Record, 0, len(entries))}
	last := map[schema.GroupResource]int{}
	for _, e := range entries {
		b.Records = append(b.Records, e.records...)
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
	ownersFirst(b.Records)
	return b
}

// ownersFirst moves owners before the objects that they own among the records
// that a batch begins with and that report what existed before. They come from
// lists, which have no order in time, and each is of another object.
func ownersFirst(records []*history.Record) {
	n := 0
	for n < len(records) && records[n].Initial {
		n++
	}
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

func wrap(operation string, resource schema.GroupResource, err error) error {
	return fmt.Errorf("%s %s: %w", operation, resource, err)
}
