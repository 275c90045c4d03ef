// Package outage reports failing requests to the API server.
//
// It owns the texts of these errors, and logs an operation that keeps failing
// only once. Its invariant: every error has the code [history.Unavailable],
// because a request that failed decided nothing.
//
// Limits: it does not retry.
//
// It is internal to watchhistory: its API changes without notice.
package outage

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Operation is a request to the API server that several callers depend on.
type Operation struct {
	// Name is a verb phrase, such as "review a token".
	Name string
	// Grant is what permits the request, as advice for an administrator.
	Grant string
}

// Log reports failures of operations. It is safe for concurrent use.
type Log struct {
	logger *slog.Logger

	mu      sync.Mutex
	failing map[string]string // the kind of the last failure, by operation
}

// NewLog returns a log in which no operation fails.
func NewLog(logger *slog.Logger) *Log { return &Log{logger: logger, failing: map[string]string{}} }

// Error returns the error of a failed operation, and logs it unless the
// operation has failed in the same way since its last success.
//
// The message does not contain the cause, because callers without an identity
// receive it too. The log and the error's chain do.
func (l *Log) Error(ctx context.Context, o Operation, cause error) error {
	kind, text := "unavailable", "the API server does not answer"
	switch {
	case apierrors.IsForbidden(cause):
		kind, text = "forbidden", "the API server forbids it: "+o.Grant
	case apierrors.IsUnauthorized(cause):
		kind, text = "unauthorized", "the API server rejects the credentials of the recorder"
	case apierrors.ReasonForError(cause) != "":
		kind, text = "refused", "the API server responds with an error"
	}
	err := &history.Error{Code: history.Unavailable, Message: o.Name + ": " + text, Err: cause}
	l.mu.Lock()
	logged := l.failing[o.Name] == kind
	l.failing[o.Name] = kind
	l.mu.Unlock()
	if !logged {
		l.logger.ErrorContext(ctx, "request to the API server failed", "err", fmt.Errorf("%w: %w", err, cause))
	}
	return err
}

// Success records that an operation succeeded, and logs the end of a failure.
func (l *Log) Success(ctx context.Context, o Operation) {
	l.mu.Lock()
	_, failed := l.failing[o.Name]
	delete(l.failing, o.Name)
	l.mu.Unlock()
	if failed {
		l.logger.InfoContext(ctx, "request to the API server succeeds again", "operation", o.Name)
	}
}
