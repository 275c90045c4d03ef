package apiserver

import (
	"context"
	"net"
	"sync/atomic"

	"k8s.io/client-go/util/connrotation"
)

// network opens connections and keeps them, so that all can be closed.
//
// Closing idle connections is not enough. An HTTP/2 connection counts a
// canceled request as active until the cancellation is sent to the server. That
// is after the body of the answer was closed.
type network struct {
	*connrotation.Dialer

	closed atomic.Bool
}

// DialContext opens a connection. It fails if the network is closed meanwhile:
// the transport continues to dial even for a canceled request.
func (n *network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := n.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error is the other dialer's
	}
	if n.closed.Load() { // checked after the connection is kept, so that close can't miss it
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// close closes all connections, and those that are opened later.
func (n *network) close() {
	n.closed.Store(true)
	n.CloseAll()
}
