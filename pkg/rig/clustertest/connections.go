package clustertest

import (
	"context"
	"net"
	"sync"
)

// Connections keeps the network connections that it opens, so that a test can
// cut them. The zero value has none. It is safe for concurrent use.
type Connections struct {
	mu   sync.Mutex
	open []net.Conn
}

// Dial opens a connection, for [k8s.io/client-go/rest.Config].
func (c *Connections) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.open = append(c.open, conn)
	}
	return conn, err //nolint:wrapcheck // what a dialer returns
}

// Cut closes all connections.
func (c *Connections) Cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}
