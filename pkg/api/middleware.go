package api

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// requestID is the header with the name of a request in the logs. A proxy may
// set it.
const requestID = "X-Request-Id"

// requestKey is the context's key of the name of a request.
type requestKey struct{}

// logged writes the access log: one line per request, those of probes and
// metrics at debug level. A panic becomes an answer with status 500 and a log
// line.
func (h *handler) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, start := &countingWriter{ResponseWriter: w}, time.Now()
		id := nameOf(r)
		w.Header().Set(requestID, id)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		log := func() {
			level := slog.LevelDebug
			if strings.HasPrefix(Path(r), "/api/") {
				level = slog.LevelInfo
			}
			h.options.Logger.Log(r.Context(), level, "request", "request_id", id, "user", h.options.User(r.Context()),
				"method", r.Method, "path", r.URL.Path, "status", answer.status, "bytes", answer.bytes,
				"duration", time.Since(start))
		}
		defer func() {
			defer log() // also if the answer is cut off
			if p := recover(); p != nil {
				answer.panicked(h.options.Logger, r, p)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// nameOf returns the name that a request has, or a new one. A name that could
// forge a line of the log is replaced.
func nameOf(r *http.Request) string {
	given := r.Header.Get(requestID)
	valid := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if given != "" && len(given) <= 64 && !strings.ContainsFunc(given, func(c rune) bool { return !valid(c) }) {
		return given
	}
	return rand.Text()
}

// audited is the number of Secrets that one line of the audit log names.
const audited = 16

// audit logs which Secrets' history an answer, or a batch of a stream,
// contained. It is called after that was sent or has failed.
func (h *handler) audit(ctx context.Context, secrets map[string]bool) {
	if len(secrets) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(secrets))
	id, _ := ctx.Value(requestKey{}).(string)
	h.options.Logger.InfoContext(ctx, "history of Secrets read", "request_id", id, "user", h.options.User(ctx),
		"count", len(names), "secrets", strings.Join(names[:min(len(names), audited)], ","))
}

// fromKnownHost refuses requests whose Host is not one of the recorder's. A web
// page could otherwise read the history through a browser that reaches the
// recorder, by a name that it resolves to the recorder's address (DNS
// rebinding).
func (h *handler) fromKnownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := HostOf(r)
		if net.ParseIP(host) == nil && host != "localhost" && !h.options.Host(host) {
			writeError(w, http.StatusMisdirectedRequest, codeUnknownHost,
				"host "+strconv.Quote(host)+" is not a name of this recorder")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// HostOf returns the name or address in the Host of a request, in lower case
// and without a port.
func HostOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
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
