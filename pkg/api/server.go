package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Timeouts bound how long a server waits for a client. Zero fields have
// defaults.
type Timeouts struct {
	Request time.Duration // for a complete request, including a body that is ignored. Default: 10 s.
	Idle    time.Duration // for the next request of a connection. Default: 2 min.
	// WriteIdle bounds the time in which a client accepts no part of an answer.
	// A slow client is served as long as it makes progress; the connection
	// buffers up to 128 KiB, so progress is seen in steps. Default: 30 s.
	WriteIdle time.Duration
}

// The defaults of [Timeouts].
const (
	defaultRequest   = 10 * time.Second
	defaultIdle      = 2 * time.Minute
	defaultWriteIdle = 30 * time.Second
)

const (
	maxHeaderBytes = 64 << 10
	// chunkBytes is how much of an answer is written with one deadline.
	chunkBytes = 16 << 10
	// sendBuffer bounds the part of an answer, in bytes, that the system
	// buffers for a connection.
	//
	// Linux wakes a blocked writer when a third of the buffer is free, and
	// grows the buffer to up to 4 MB by default. A client that reads 40 kB/s
	// would seem to read nothing for longer than WriteIdle.
	sendBuffer = 128 << 10
)

// NewServer returns an HTTP server with all limits that protect it from
// clients. The time of a whole answer is not limited, because a deadline would
// cut off clients that still read.
//
// An answer that is cut off ends the connection and is never complete: its last
// chunk is missing, or it is shorter than its Content-Length.
func NewServer(handler http.Handler, t Timeouts, logger *slog.Logger) *http.Server {
	t = Timeouts{cmp.Or(t.Request, defaultRequest), cmp.Or(t.Idle, defaultIdle), cmp.Or(t.WriteIdle, defaultWriteIdle)}
	return &http.Server{
		Handler:        withWriteDeadlines(handler, t.WriteIdle),
		ReadTimeout:    t.Request,
		IdleTimeout:    t.Idle,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnContext:    limitSendBuffer,
	}
}

// limitSendBuffer sets the size of a connection's buffer. A TLS connection has
// the buffer of the connection below it.
func limitSendBuffer(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // fails only on a closed connection, as the next read does
	}
	return ctx
}

// withWriteDeadlines gives each chunk of an answer a deadline of its own.
func withWriteDeadlines(next http.Handler, writeIdle time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := &deadlineWriter{w, http.NewResponseController(w), writeIdle}
		defer d.extend() // for what is still buffered when the handler returns
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // otherwise the server reads the body before it sends the answer
		}
		next.ServeHTTP(d, r)
	})
}

// deadlineWriter writes an answer in chunks.
type deadlineWriter struct {
	http.ResponseWriter

	controller *http.ResponseController
	writeIdle  time.Duration
}

// extend sets the deadline of the next chunk. It fails only if a write would
// fail too, so its error is ignored.
func (d *deadlineWriter) extend() { _ = d.controller.SetWriteDeadline(time.Now().Add(d.writeIdle)) }

// Write writes the bytes in chunks.
func (d *deadlineWriter) Write(b []byte) (n int, err error) {
	for {
		chunk := b[n:min(n+chunkBytes, len(b))]
		d.extend()
		written, err := d.ResponseWriter.Write(chunk)
		if n += written; err != nil || n == len(b) {
			return n, err
		}
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (d *deadlineWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }
