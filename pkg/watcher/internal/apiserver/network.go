package apiserver

import (
	"context"
	"net"
	"sync/atomic"

	"k8s.io/client-go/util/connrotation"
)

// network opens connections and keeps track of them, so that all can be closed. Closing those that are idle is not enough: a
// connection of HTTP/2 counts a canceled request as being in use until it has told the server, which is after the request's body
// was closed.
type network struct {
	*connrotation.Dialer

	closed atomic.Bool
}

// DialContext opens a connection, unless the network is closed by then: the transport goes on dialing for a request that was
// canceled.
func (n *network) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := n.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err //nolint:wrapcheck // it stands for the other dialer
	}
	if n.closed.Load() { // after it is kept track of: close either sees the connection, or is seen here
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// close closes all connections, for good.
func (n *network) close() {
	n.closed.Store(true)
	n.CloseAll()
}
