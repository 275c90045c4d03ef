package sample

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// WatchEvents returns the watch events of a generated cluster, without an end.
func WatchEvents(o Options) iter.Seq[WatchEvent] {
	c := New(o)
	return func(yield func(WatchEvent) bool) {
		for yield(c.Next()) {
		}
	}
}

// Batches returns the batches that a recorder commits if the watch events
// arrive faster than it records. The caller owns the batches. While the caller
// uses one, the recorder runs on only until its queue is full.
func Batches(tb testing.TB, events iter.Seq[WatchEvent]) iter.Seq[*history.Batch] {
	tb.Helper()
	return func(yield func(*history.Batch) bool) {
		log, err := store.Open(tb.TempDir(), store.Options{NoSync: true})
		if err != nil {
			tb.Fatal(err)
		}
		defer log.Close()
		ctx, cancel := context.WithCancel(tb.Context())
		defer cancel()
		out, ended := make(chan *history.Batch), make(chan error, 1)
		go func() {
			defer close(out)
			ended <- feed(ctx, copied{log, out}, events)
		}()
		for b := range out {
			if !yield(b) {
				cancel()
				for range out { // drain until the feed has ended
				}
			}
		}
		if err := <-ended; err != nil && ctx.Err() == nil {
			tb.Fatal(err)
		}
	}
}

// batchRecords is the size of the recorder's largest batch. Its queue is not
// larger, because a caller that stops early has no use for what is in it.
const batchRecords = 512

// feed records the watch events until they or ctx end.
func feed(ctx context.Context, log recorder.Log, events iter.Seq[WatchEvent]) (err error) {
	f := newFeed(ctx, log, recorder.Options{Now: time.Now, BatchRecords: batchRecords, QueueRecords: batchRecords})
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	for e := range events {
		if err := f.Record(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// copied is a log that sends copies of the committed batches to a channel.
type copied struct {
	*store.Store

	to chan<- *history.Batch
}

// Append commits the batch and sends a copy from before the commit: the log
// sets the times of the records.
func (c copied) Append(ctx context.Context, b *history.Batch) error {
	batch := &history.Batch{
		Checkpoints: append([]history.Checkpoint(nil), b.Checkpoints...), Gaps: append([]history.Gap(nil), b.Gaps...),
	}
	for _, v := range b.Versions {
		record := *v.Record
		v.Record = &record
		batch.Versions = append(batch.Versions, v)
	}
	if err := c.Store.Append(ctx, b); err != nil {
		return err
	}
	select {
	case c.to <- batch:
	case <-ctx.Done(): // only if the reader has stopped
	}
	return nil
}
