package watcher

import (
	"log/slog"
	"time"
)

// maxEventSize bounds a watch event and a list item, in bytes. API servers
// reject objects of a tenth of that size.
const maxEventSize = 64 << 20

// Options are the settings of a [Watcher]. Zero fields have defaults.
type Options struct {
	Logger *slog.Logger // nil: no logs
	// OnChange is called with each change of state, by the watcher's goroutine.
	// It must not block.
	OnChange func(Change)
	// StallAfter is how long a watch may be silent, without even a bookmark,
	// before it is canceled and resumed. API servers send a bookmark about once
	// a minute. The default is 3 minutes.
	StallAfter time.Duration
	// AnswerWithin is how long the API server may take to begin its answer to a
	// watch. The default is 30 seconds. It is at most StallAfter.
	AnswerWithin time.Duration
	// CatchUpWithin is how long to wait for an API server that has not reached
	// the checkpoint's resourceVersion yet. After that, the server is assumed
	// to have lost it, and the resource is listed. The default is 15 seconds.
	CatchUpWithin time.Duration
	// RetryAfter bounds the time between two attempts to reach an API server or
	// a resource. The default is 30 seconds.
	RetryAfter time.Duration
	// Namespace is the only namespace whose objects are watched, for users who
	// may not list all namespaces. Cluster-scoped resources are not affected.
	// "" means all namespaces. A sink must always be fed from the same
	// namespace: it infers the deletion of objects that a list lacks.
	Namespace string
	// PageSize is the number of objects in a page of a list. The default is
	// 500.
	PageSize int
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.OnChange == nil {
		o.OnChange = func(Change) {}
	}
	if o.StallAfter <= 0 {
		o.StallAfter = 3 * time.Minute
	}
	if o.AnswerWithin <= 0 {
		o.AnswerWithin = 30 * time.Second
	}
	if o.CatchUpWithin <= 0 {
		o.CatchUpWithin = 15 * time.Second
	}
	if o.RetryAfter <= 0 {
		o.RetryAfter = 30 * time.Second
	}
	if o.PageSize <= 0 {
		o.PageSize = 500
	}
	return o
}
