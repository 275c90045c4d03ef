package watcher

import (
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/history"
)

var (
	errStalled  = errors.New("the watch brought nothing for too long")
	errAtOnce   = errors.New("the API server ended the watch at once")
	errCutShort = errors.New("the API server ended the initial state before its end")
)

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

// expired tells whether the server can't go on from the resourceVersion that it was asked for: it is forgotten, or from
// a future that the server has lost.
func expired(err error) bool {
	return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) ||
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
		errors.Is(err, errStalled) || errors.Is(err, errCutShort)
}

func isStatus(err error) bool {
	_, ok := errors.AsType[*apierrors.StatusError](err)
	return ok
}
