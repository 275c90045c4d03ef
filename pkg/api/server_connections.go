package api

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
)

// spareConnections is how many connections beyond the limit are accepted, for
// probes and for refusals of queries. Further ones are closed at once.
const spareConnections = 64

// connections bounds the open connections of a server. It is safe for
// concurrent use.
//
// A listener that stops accepting would be simpler. But the probes would then
// wait too, and the kubelet would restart the recorder.
type connections struct {
	most  int64
	count atomic.Int64
}

// excess is the key of a context whose connection exceeds the limit.
type excess struct{}

// open returns the context of a new connection. The server calls it before it
// reports the connection's first state.
func (c *connections) open(ctx context.Context, conn net.Conn) context.Context {
	switch n := c.count.Load(); {
	case n < c.most:
		return ctx
	case n >= c.most+spareConnections:
		_ = conn.Close()
	}
	return context.WithValue(ctx, excess{}, true)
}

// changed counts the connections.
func (c *connections) changed(_ net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // the others do not change the number
	case http.StateNew:
		c.count.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.count.Add(-1)
	}
}

// closeExcess ends each connection that exceeds the limit after one answer.
func closeExcess(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isExcess(r.Context()) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// isExcess reports whether a request's connection exceeds the limit. A query is
// refused then, and a probe is not.
func isExcess(ctx context.Context) bool { return ctx.Value(excess{}) != nil }
