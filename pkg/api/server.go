package api

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Patience is how long a server waits for a client. Zero fields take their defaults.
type Patience struct {
	Request time.Duration // until a request is there, with a body that nobody reads. Default: 10 s.
	Idle    time.Duration // until the next one comes. Default: 2 min.
	// Taking is how long a client may need to take the next part of an answer, of 128 KiB at the most. One that goes on doing so is
	// waited for as long as it takes. Default: 30 s.
	Taking time.Duration
}

// The defaults of [Patience].
const (
	defaultRequest = 10 * time.Second
	defaultIdle    = 2 * time.Minute
	defaultTaking  = 30 * time.Second
)

const (
	maxHeaderBytes = 64 << 10
	// paceBytes is how much of an answer is written at a time, each with its own deadline.
	paceBytes = 16 << 10
	// sendBuffer is how much of an answer, in bytes, a connection holds that its client has not taken yet. Linux lets a writer go
	// on when a third of that is free, and by itself makes it up to 4 MB: a client that takes 40 kB/s would seem to take nothing.
	sendBuffer = 128 << 10
)

// NewServer returns an HTTP server with every limit set that a stranger could try. It has none to how long an answer takes: where a
// deadline passes for the whole of it, an answer is cut off whose client still reads.
//
// An answer that is cut off ends the connection, and never looks whole: its last chunk is missing, or bytes are that its
// Content-Length counts.
func NewServer(handler http.Handler, p Patience, logger *slog.Logger) *http.Server {
	p = Patience{cmp.Or(p.Request, defaultRequest), cmp.Or(p.Idle, defaultIdle), cmp.Or(p.Taking, defaultTaking)}
	return &http.Server{
		Handler:        paced(handler, p.Taking),
		ReadTimeout:    p.Request,
		IdleTimeout:    p.Idle,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
		ConnContext:    bounded,
	}
}

// bounded bounds what the system buffers for a connection.
func bounded(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer) // one that is closed already is noticed where it is read
	}
	return ctx
}

// paced gives each part of an answer its own deadline.
func paced(next http.Handler, taking time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &pacer{w, http.NewResponseController(w), taking}
		defer p.extend() // for what is still buffered then
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // otherwise the server waits for the body while the handler answers
		}
		next.ServeHTTP(p, r)
	})
}

// pacer is an answer that is written in parts.
type pacer struct {
	http.ResponseWriter

	controller *http.ResponseController
	taking     time.Duration
}

// extend lets the client take its time anew. It fails only where writing does.
func (p *pacer) extend() { _ = p.controller.SetWriteDeadline(time.Now().Add(p.taking)) }

// Write passes the bytes on.
func (p *pacer) Write(b []byte) (n int, err error) {
	for {
		part := b[n:min(n+paceBytes, len(b))]
		p.extend()
		written, err := p.ResponseWriter.Write(part)
		if n += written; err != nil || n == len(b) {
			return n, err
		}
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (p *pacer) Unwrap() http.ResponseWriter { return p.ResponseWriter }
