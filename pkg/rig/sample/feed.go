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

// Feed records watch events in a log through a recorder, as a daemon does,
// without a network. It is not safe for concurrent use.
type Feed struct {
	recorder *recorder.Recorder
	streams  map[schema.GroupResource]*recorder.Stream
	stop     context.CancelFunc
	ended    chan error
}

// NewFeed returns a feed for the log. now is the recorder's clock. The caller
// must close the feed.
func NewFeed(ctx context.Context, log recorder.Log, now func() time.Time) *Feed {
	return newFeed(ctx, log, recorder.Options{Now: now})
}

// newFeed returns a feed with options of the recorder. Logger is set.
func newFeed(ctx context.Context, log recorder.Log, o recorder.Options) *Feed {
	ctx, stop := context.WithCancel(ctx)
	o.Logger = slog.New(slog.DiscardHandler)
	f := &Feed{
		recorder: recorder.New(log, o),
		streams:  map[schema.GroupResource]*recorder.Stream{}, stop: stop, ended: make(chan error, 1),
	}
	go func() { f.ended <- f.recorder.Run(ctx) }()
	return f
}

// Record accepts a watch event. It is recorded when Close returns, or earlier.
func (f *Feed) Record(ctx context.Context, e WatchEvent) error {
	s := f.streams[e.Resource.GroupResource()]
	if s == nil {
		var err error
		if s, err = f.stream(ctx, e.Resource); err != nil {
			return fmt.Errorf("feed %s: %w", e.Resource.GroupResource(), err)
		}
	}
	return s.Observe(ctx, e.WatchEvent)
}

// stream opens the stream of a resource, after an empty list.
func (f *Feed) stream(ctx context.Context, resource history.Resource) (*recorder.Stream, error) {
	s, err := f.recorder.Stream(ctx, resource)
	if err != nil {
		return nil, err
	}
	f.streams[resource.GroupResource()] = s
	return s, errors.Join(s.BeginList(ctx, gap.Cause{}), s.EndList(ctx, "1"))
}

// Close returns after all watch events are recorded.
func (f *Feed) Close() error {
	f.stop()
	return <-f.ended
}
