package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

const (
	headerType       = "Content-Type"
	headerSniffing   = "X-Content-Type-Options"
	sniffingDisabled = "nosniff"
	headerTag        = "ETag"
	headerCache      = "Cache-Control"
	headerTiming     = "Server-Timing"
	// cachePrivately allows only the client to store an answer, and requires it
	// to ask again each time: rights may change.
	cachePrivately = "private, no-cache"

	codeMethodNotAllowed = "method_not_allowed"
	codeUnknownHost      = "unknown_host"
	codeTooManyRequests  = "too_many_requests"
	codeTooLarge         = "too_large"
)

// fixedError is a mistake in a parameter of the fixed part of the API. Its text
// is fixed, too.
type fixedError struct{ text string }

// Error returns the text of the answer.
func (e *fixedError) Error() string { return e.text }

// parameterError is a mistake in the value of a parameter that is not fixed.
type parameterError struct {
	name string
	err  error // with a code
}

// Error returns the name of the parameter and what is wrong with its value.
func (e *parameterError) Error() string { return "parameter " + e.name + ": " + e.err.Error() }

// Unwrap returns the error without the name.
func (e *parameterError) Unwrap() error { return e.err }

// status maps an error to an HTTP status. Nothing else does.
func status(err error) int {
	switch history.CodeOf(err) {
	case history.Invalid:
		return http.StatusBadRequest
	case history.NotFound:
		return http.StatusNotFound
	case history.Unauthorized:
		return http.StatusUnauthorized
	case history.Forbidden:
		return http.StatusForbidden
	case history.Gone:
		return http.StatusGone
	case history.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// failFixed writes an error of an endpoint of the fixed part. A mistake in a
// fixed parameter is plain text, and one in another parameter is JSON. All
// other errors have the status 500, and begin with the fixed text. If the
// caller's rights are not known, no query was run, and the error is that of the
// other endpoints.
func (h *handler) failFixed(w http.ResponseWriter, r *http.Request, text string, err error) {
	if fixed, ok := errors.AsType[*fixedError](err); ok {
		http.Error(w, fixed.text, http.StatusBadRequest)
		return
	}
	if status(err) == http.StatusBadRequest {
		WriteError(w, r, err)
		return
	}
	if _, unknown := errors.AsType[*query.RightsError](err); unknown {
		h.fail(w, r, err)
		return
	}
	h.logFailure(r, err)
	http.Error(w, text+err.Error(), http.StatusInternalServerError)
}

// fail writes an error of an endpoint that is not fixed, as JSON.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if status(err) == http.StatusInternalServerError {
		h.logFailure(r, err)
	}
	WriteError(w, r, err)
}

// logFailure logs an error that the client did not cause. A client that
// disconnected is not an error.
func (h *handler) logFailure(r *http.Request, err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	h.options.Logger.Log(r.Context(), level, "query failed", "path", r.URL.Path, "err", err)
}

// WriteError writes an error of a handler in front of the API as JSON, with the
// status of its code. The API's own errors that are not fixed have this form.
func WriteError(w http.ResponseWriter, _ *http.Request, err error) {
	answer := v1.Error{Code: string(history.CodeOf(err)), Message: err.Error()}
	if wrong, ok := errors.AsType[*parameterError](err); ok {
		answer.Parameter = wrong.name
	}
	writeJSON(w, status(err), v1.ErrorBody{Error: answer})
}

// writeError writes a [v1.ErrorBody].
func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, v1.ErrorBody{Error: v1.Error{Code: code, Message: message}})
}

// writeJSON writes a small document. Write errors are ignored: they mean that
// the client has disconnected.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set(headerType, v1.ContentType)
	w.Header().Set(headerSniffing, sniffingDisabled)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
