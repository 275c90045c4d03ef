package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are below the range that operating systems use for outgoing
// connections. So no connection can take a port before its component listens.
const (
	firstPort = 20000
	lastPort  = 31999
)

// reservePorts returns n different free ports of the loopback interface. It
// listens on them until the closer is called, so that nothing else takes them.
func reservePorts(ctx context.Context, n int) ([]int, io.Closer, error) {
	var held listeners
	var ports []int
	for range 1000 {
		if len(ports) == n {
			return ports, held, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		held = append(held, listener)
		ports = append(ports, port)
	}
	return nil, nil, errors.Join(
		fmt.Errorf("no %d free ports on 127.0.0.1 between %d and %d", n, firstPort, lastPort),
		held.Close())
}

type listeners []net.Listener

func (l listeners) Close() error {
	var errs []error
	for _, listener := range l {
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}
