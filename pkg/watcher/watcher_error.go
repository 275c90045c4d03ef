package watcher

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

var (
	errStalled  = errors.New("the watch brought nothing for too long")
	errSilent   = errors.New("the API server gave no answer in time")
	errAtOnce   = errors.New("the API server ended the watch at once")
	errCutShort = errors.New("the API server ended the initial state before its end")
	errEndless  = errors.New("the list does not go on: a page names itself as the next one")
	errPartial  = errors.New("the list ends although the API server says that objects remain")
)

// kind groups the faults that share a back-off.
type kind uint8

const (
	unreachable kind = iota // no answer, or one that broke off
	throttled               // the server asks to come later
	refused                 // the server does not serve the resource, or not to this user
	failing                 // any other error that the server reports
	garbled                 // an answer that can't be used
	kinds
)

// kindOf returns the kind of a session's error.
func kindOf(err error) kind {
	switch {
	case apierrors.IsTooManyRequests(err):
		return throttled
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err), apierrors.IsForbidden(err):
		return refused
	case isStatus(err):
		return failing
	case errors.Is(err, errStalled), errors.Is(err, errSilent), apiserver.IsNetworkError(err):
		return unreachable
	default:
		return garbled
	}
}

// sinkError marks an error as the sink's: it ends the watcher.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

func sinkFailure(err error) error {
	if err == nil {
		return nil
	}
	return &sinkError{err}
}

// observing tells apart what a sink can't do and what a server should not have sent.
func observing(err error) error {
	if history.CodeOf(err) == history.Invalid {
		return err
	}
	return sinkFailure(err)
}

// expired reports whether the server has forgotten the resourceVersion that
// it was asked for.
func expired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// ahead reports whether the resourceVersion that the server was asked for is
// ahead of it. The server may be a replica that lags, or it has lost what came
// after a backup.
func ahead(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) ||
		apierrors.IsTimeout(err) && strings.Contains(err.Error(), "Too large resource version")
}

// malformed tells whether the server did not understand the request. Of a request that differs from others only in its
// resourceVersion, that is what it did not understand.
func malformed(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// rejectsStreaming tells whether the server can't stream initial state, as far as one can know: servers that can't
// differ in what they say, and one that does not know what is asked of it watches, and never says that the state is complete.
func rejectsStreaming(err error) bool {
	return malformed(err) || apierrors.IsInternalError(err) || apierrors.IsNotAcceptable(err) ||
		apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && isStatus(err) ||
		errors.Is(err, errStalled) || errors.Is(err, errSilent) || errors.Is(err, errCutShort)
}

func isStatus(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return ok
}
