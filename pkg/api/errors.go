package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The texts of the fixed part of the API.
const (
	textNoMatch      = "no audit data available for the specified time range"
	textNoObject     = "no events found for this object"
	textIncomplete   = "namespace, resourceType, and name are required"
	textBadStart     = "Invalid start time format: "
	textBadEnd       = "Invalid end time format: "
	textBadLimit     = "Invalid limit: "
	textQuery        = "Query failed: "
	textHistory      = "Failed to query object history: "
	textRelated      = "Failed to query related events: "
	contentTypeJSON  = "application/json"
	headerType       = "Content-Type"
	headerSniffing   = "X-Content-Type-Options"
	sniffingDisabled = "nosniff"
)

// fixedError is a mistake in a parameter of the fixed part of the API, told in the fixed words.
type fixedError struct{ text string }

// Error returns the text that the client reads.
func (e *fixedError) Error() string { return e.text }

// status maps an error to an HTTP status. It is the only place that does.
func status(err error) int {
	switch history.CodeOf(err) {
	case history.Invalid:
		return http.StatusBadRequest
	case history.NotFound:
		return http.StatusNotFound
	case history.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// failFixed answers for an endpoint of the fixed part: mistakes in additive parameters are JSON, mistakes in fixed ones are
// text, and everything else is text with status 500.
func (h *handler) failFixed(w http.ResponseWriter, r *http.Request, text string, err error) {
	if fixed, ok := errors.AsType[*fixedError](err); ok {
		http.Error(w, fixed.text, http.StatusBadRequest)
		return
	}
	if status(err) == http.StatusBadRequest {
		writeError(w, http.StatusBadRequest, string(history.Invalid), err.Error())
		return
	}
	h.logFailure(r, err)
	http.Error(w, text+err.Error(), http.StatusInternalServerError)
}

// fail answers for an additive endpoint.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := status(err)
	if code == http.StatusInternalServerError {
		h.logFailure(r, err)
	}
	writeError(w, code, string(history.CodeOf(err)), err.Error())
}

// logFailure logs what is not the client's mistake. A client that went away is no failure.
func (h *handler) logFailure(r *http.Request, err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelDebug
	}
	h.options.Logger.Log(r.Context(), level, "query failed", "path", r.URL.Path, "err", err)
}

// writeError answers with a [v1.ErrorBody].
func writeError(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, v1.ErrorBody{Error: v1.Error{Code: code, Message: message}})
}

// writeJSON answers with a small document. An error of writing means that nobody reads any more.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set(headerType, contentTypeJSON)
	w.Header().Set(headerSniffing, sniffingDisabled)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
