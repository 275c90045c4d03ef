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

// WatchEvents returns what a made-up cluster serves; it has no end.
func WatchEvents(o Options) iter.Seq[WatchEvent] {
	c := New(o)
	return func(yield func(WatchEvent) bool) {
		for yield(c.Next()) {
		}
	}
}

// Batches returns what a recorder commits of the frames when they come faster than it records: the batches, as they are handed to
// the log. They belong to the caller. Nothing goes on between two of them for longer than it takes to fill a queue.
func Batches(tb testing.TB, frames iter.Seq[WatchEvent]) iter.Seq[*history.Batch] {
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
			ended <- feed(ctx, copied{log, out}, frames)
		}()
		for b := range out {
			if !yield(b) {
				cancel()
				for range out { // until the feed has ended
				}
			}
		}
		if err := <-ended; err != nil && ctx.Err() == nil {
			tb.Fatal(err)
		}
	}
}

// feed records the frames until they or ctx end.
func feed(ctx context.Context, log recorder.Log, frames iter.Seq[WatchEvent]) (err error) {
	f := NewFeed(ctx, log, time.Now)
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	for frame := range frames {
		if err := f.Record(ctx, frame); err != nil {
			return err
		}
	}
	return nil
}

// copied is a log that sends on copies of what is committed.
type copied struct {
	*store.Store

	to chan<- *history.Batch
}

// Append commits the batch and sends a copy: the log dates what it takes.
func (c copied) Append(ctx context.Context, b *history.Batch) error {
	batch := &history.Batch{Checkpoints: append([]history.Checkpoint(nil), b.Checkpoints...), Gaps: append([]history.Gap(nil), b.Gaps...)}
	for _, r := range b.Records {
		one := *r
		batch.Records = append(batch.Records, &one)
	}
	if err := c.Store.Append(ctx, b); err != nil {
		return err
	}
	select {
	case c.to <- batch:
	case <-ctx.Done(): // only where nobody reads any more
	}
	return nil
}
