package watcher

import (
	"log/slog"
	"time"
)

// maxLine bounds a watch event and a list item, in bytes. API servers reject
// objects of a tenth of that size.
const maxLine = 64 << 20

// Options are how a [Watcher] goes about its work. The zero Options are the usual ones.
type Options struct {
	Logger *slog.Logger // nil: silent
	// OnChange is told each change of state. It is called by the watcher's goroutine and must not block.
	OnChange func(Change)
	// StallAfter is how long a watch may bring nothing, not even a bookmark, before it is cut and resumed. Servers send
	// a bookmark about once a minute. 3 minutes by default.
	StallAfter time.Duration
	// AnswerWithin is how long the server may take to begin its answer to a watch. 30 seconds by default, and at most
	// StallAfter.
	AnswerWithin time.Duration
	// CatchUpWithin is how long a server is waited for that does not know the resourceVersion to go on from yet, before it
	// is taken for one that lost it. 15 seconds by default.
	CatchUpWithin time.Duration
	// RetryAfter bounds the time between two attempts to reach a server or a resource that does not answer. 30 seconds
	// by default.
	RetryAfter time.Duration
	// PageSize is the number of objects in a page of a list, where a list is needed. 500 by default.
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
