package api

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// observed logs every request at debug level, and turns a panic into an answer with status 500 and a line in the log.
func observed(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o, start := &observer{ResponseWriter: w}, time.Now()
		defer func() {
			if p := recover(); p != nil {
				o.panicked(logger, r, p)
			}
			logger.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", o.status,
				"bytes", o.bytes, "duration", time.Since(start))
		}()
		next.ServeHTTP(o, r)
	})
}

// observer remembers what was answered.
type observer struct {
	http.ResponseWriter

	status int
	bytes  int64
}

// WriteHeader passes the status on.
func (o *observer) WriteHeader(status int) {
	if o.status == 0 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

// Write passes the bytes on.
func (o *observer) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	n, err := o.ResponseWriter.Write(b)
	o.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observer) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// panicked answers for a handler that panicked. Where an answer was begun already, the connection is cut, so that nobody
// takes half an answer for a whole one.
func (o *observer) panicked(logger *slog.Logger, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // the server compares it so, too
		panic(p)
	}
	logger.ErrorContext(r.Context(), "handler panicked", "path", r.URL.Path, "err", p, "stack", string(debug.Stack()))
	if o.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeError(o, http.StatusInternalServerError, string(history.Internal), "internal error; the recorder's log has the details")
}
