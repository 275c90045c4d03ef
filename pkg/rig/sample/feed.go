package sample

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// Feed records frames into a log through a recorder, as a daemon does, without a network. It is for one goroutine.
type Feed struct {
	recorder *recorder.Recorder
	streams  map[schema.GroupResource]*recorder.Stream
	stop     context.CancelFunc
	ended    chan error
}

// NewFeed returns a feed into the log, whose records are dated by now. It has to be closed.
func NewFeed(ctx context.Context, log recorder.Log, now func() time.Time) *Feed {
	ctx, stop := context.WithCancel(ctx)
	f := &Feed{
		recorder: recorder.New(log, recorder.Options{Logger: slog.New(slog.DiscardHandler), Now: now}),
		streams:  map[schema.GroupResource]*recorder.Stream{}, stop: stop, ended: make(chan error, 1),
	}
	go func() { f.ended <- f.recorder.Run(ctx) }()
	return f
}

// Record takes a frame. It is recorded once the feed is closed, if not earlier.
func (f *Feed) Record(ctx context.Context, frame WatchEvent) error {
	s := f.streams[frame.Resource.GroupResource()]
	if s == nil {
		var err error
		if s, err = f.stream(ctx, frame.Resource); err != nil {
			return fmt.Errorf("feed %s: %w", frame.Resource.GroupResource(), err)
		}
	}
	return s.Observe(ctx, frame.WatchEvent)
}

// stream returns the stream of a resource of which nothing was there when recording began.
func (f *Feed) stream(ctx context.Context, resource history.Resource) (*recorder.Stream, error) {
	s, err := f.recorder.Stream(ctx, resource)
	if err != nil {
		return nil, err
	}
	f.streams[resource.GroupResource()] = s
	return s, errors.Join(s.BeginList(ctx, gap.Cause{}), s.EndList(ctx, "1"))
}

// Close returns when all frames are recorded.
func (f *Feed) Close() error {
	f.stop()
	return <-f.ended
}
