package api

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServerOptions bound how long a server waits for a client, and what it accepts
// from clients. Zero fields have defaults.
type ServerOptions struct {
	Request time.Duration // for a complete request, including a body that is ignored. Default: 10 s.
	Idle    time.Duration // for the next request of a connection. Default: 2 min.
	// WriteIdle bounds the time in which a client accepts no part of an answer.
	// A slow client is served as long as it makes progress; the connection
	// buffers up to 128 KiB, so progress is seen in steps. Default: 30 s.
	WriteIdle time.Duration

	// Connections bounds the open connections. A query on a further one is
	// refused, and a probe is answered. Default: 512.
	Connections int
	// ConnectionStreams bounds the concurrent requests of an HTTP/2 connection.
	// Default: 100.
	ConnectionStreams int
	HeaderBytes       int   // of a request. Default: 64 KiB.
	BodyBytes         int64 // of a request, which is ignored. Default: 64 KiB.
}

// The defaults of [ServerOptions].
const (
	defaultRequest     = 10 * time.Second
	defaultIdle        = 2 * time.Minute
	defaultWriteIdle   = 30 * time.Second
	defaultConnections = 512
	// defaultConnectionStreams is what RFC 9113 recommends as the least, and
	// the API server's own limit. Go's is 250. Each stream has a goroutine and
	// buffers before any limit of queries applies, so the number of connections
	// times this bounds what clients can make the recorder hold.
	defaultConnectionStreams = 100
	defaultHeaderBytes       = 64 << 10
	defaultBodyBytes         = 64 << 10
)

const (
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
func NewServer(handler http.Handler, o ServerOptions, logger *slog.Logger) *http.Server {
	c := &connections{most: int64(cmp.Or(max(o.Connections, 0), defaultConnections))}
	handler = boundBodies(closeExcess(handler), cmp.Or(o.BodyBytes, defaultBodyBytes))
	return &http.Server{
		Handler:     withWriteDeadlines(handler, cmp.Or(o.WriteIdle, defaultWriteIdle)),
		ReadTimeout: cmp.Or(o.Request, defaultRequest),
		IdleTimeout: cmp.Or(o.Idle, defaultIdle),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: cmp.Or(max(o.ConnectionStreams, 0), defaultConnectionStreams),
		},
		MaxHeaderBytes: cmp.Or(o.HeaderBytes, defaultHeaderBytes),
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return c.open(limitSendBuffer(ctx, conn), conn)
		},
		ConnState: c.changed,
	}
}

// boundBodies rejects requests with a larger body. No endpoint reads a body.
func boundBodies(next http.Handler, most int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > most {
			writeError(w, http.StatusRequestEntityTooLarge, codeTooLarge,
				fmt.Sprintf("request body too large: at most %d bytes", most))
			return
		}
		next.ServeHTTP(w, r)
	})
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
