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
	errStalled    = errors.New("the watch was silent for too long")
	errNoAnswer   = errors.New("the API server gave no answer in time")
	errEndedEarly = errors.New("the API server ended the watch at once")
	errIncomplete = errors.New("the API server ended the initial state before it was complete")
	errPageLoop   = errors.New("a page of the list names itself as the next page")
	errItemsLeft  = errors.New("the list ends although the API server reports remaining objects")
)

// errorClass groups the errors that share a back-off.
type errorClass uint8

const (
	unreachable  errorClass = iota // no answer, or an interrupted one
	throttled                      // the API server asks to retry later
	refused                        // the API server does not serve the resource, or not to this user
	failing                        // any other error that the API server reports
	unusable                       // an answer that can't be read
	errorClasses                   // the number of classes
)

// errorClassOf returns the class of a session's error.
func errorClassOf(err error) errorClass {
	switch {
	case apierrors.IsTooManyRequests(err):
		return throttled
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err), apierrors.IsForbidden(err):
		return refused
	case isStatus(err):
		return failing
	case errors.Is(err, errStalled), errors.Is(err, errNoAnswer), apiserver.IsNetworkError(err):
		return unreachable
	default:
		return unusable
	}
}

// sinkError marks an error of the sink. It ends the watcher.
type sinkError struct{ err error }

// Error returns the sink's message.
func (e *sinkError) Error() string { return e.err.Error() }

// Unwrap returns the sink's error.
func (e *sinkError) Unwrap() error { return e.err }

// asSinkError marks an error as the sink's. A nil error stays nil.
func asSinkError(err error) error {
	if err == nil {
		return nil
	}
	return &sinkError{err}
}

// asObserveError marks an error of [Sink.Observe] as the sink's, unless it
// means that the API server sent an unreadable object.
func asObserveError(err error) error {
	if history.CodeOf(err) == history.Invalid {
		return err
	}
	return asSinkError(err)
}

// isExpired reports whether the API server does not keep the changes after the
// requested resourceVersion any more.
func isExpired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err)
}

// isTooLarge reports whether the requested resourceVersion is newer than the
// API server's. The server may be a replica that lags, or it was restored from
// a backup.
func isTooLarge(err error) bool {
	return apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) ||
		apierrors.IsTimeout(err) && strings.Contains(err.Error(), "Too large resource version")
}

// isMalformed reports whether the API server did not understand the request. If
// other requests differ only in their resourceVersions, it did not understand
// the resourceVersion.
func isMalformed(err error) bool {
	return apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)
}

// rejectsStreaming reports whether the API server probably can't stream the
// initial state. Such servers answer with different errors. A server that
// ignores the request parameters watches, and never sends the end of the
// initial state.
func rejectsStreaming(err error) bool {
	return isMalformed(err) || apierrors.IsInternalError(err) || apierrors.IsNotAcceptable(err) ||
		apierrors.ReasonForError(err) == metav1.StatusReasonUnknown && isStatus(err) ||
		errors.Is(err, errStalled) || errors.Is(err, errNoAnswer) || errors.Is(err, errIncomplete)
}

// isStatus reports whether the API server answered with a Status.
func isStatus(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return ok
}
