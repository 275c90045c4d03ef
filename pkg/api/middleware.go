package api

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// logged logs each request at debug level. A panic becomes an answer with
// status 500 and a log line.
func logged(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, start := &countingWriter{ResponseWriter: w}, time.Now()
		defer func() {
			if p := recover(); p != nil {
				answer.panicked(logger, r, p)
			}
			logger.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "status", answer.status,
				"bytes", answer.bytes, "duration", time.Since(start))
		}()
		next.ServeHTTP(answer, r)
	})
}

// countingWriter stores the status and the size of an answer.
type countingWriter struct {
	http.ResponseWriter

	status int // 0 before the answer begins
	bytes  int64
}

// WriteHeader stores the status and passes it on.
func (c *countingWriter) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes and passes them on.
func (c *countingWriter) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// panicked writes the answer of a handler that panicked. If an answer has
// begun, it aborts the connection, so that a client does not take the part for
// the whole.
func (c *countingWriter) panicked(logger *slog.Logger, r *http.Request, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // the server compares it in the same way
		panic(p)
	}
	logger.ErrorContext(r.Context(), "handler panicked", "path", r.URL.Path, "err", p, "stack", string(debug.Stack()))
	if c.status != 0 {
		panic(http.ErrAbortHandler)
	}
	writeError(c, http.StatusInternalServerError, string(history.Internal), "internal error: see the recorder's log")
}
