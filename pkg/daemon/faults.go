package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// reachTimeout bounds the first request to the API server.
const reachTimeout = 15 * time.Second

// reach asks the cluster for its version, so that a wrong address or credential shows at the start and in one line.
// It returns the server's version.
func reach(ctx context.Context, cluster *rest.Config) (string, error) {
	cfg := rest.CopyConfig(cluster)
	cfg.Timeout = reachTimeout
	connection, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return "", history.Errorf(history.Invalid, "the kubeconfig does not tell how to reach the cluster: %v", err)
	}
	defer utilnet.CloseIdleConnectionsFor(connection.Transport)
	client, err := discovery.NewDiscoveryClientForConfigAndClient(cfg, connection)
	if err != nil {
		return "", history.Errorf(history.Invalid, "the kubeconfig does not tell how to reach the cluster: %v", err)
	}
	v, err := client.ServerVersionWithContext(ctx)
	if err != nil {
		return "", history.Errorf(history.Unavailable,
			"the cluster at %s does not answer: %v; check that it runs, and --kubeconfig and --context", cluster.Host, err)
	}
	return v.GitVersion, nil
}

// listenError says what to do about an address that can't be had.
func listenError(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return history.Errorf(history.Unavailable,
			"%s is in use by another program: end that one, or set SERVER_PORT to a free port (0 takes any)", address)
	case errors.Is(err, fs.ErrPermission):
		return history.Errorf(history.Invalid, "may not listen on %s: set SERVER_PORT to a port above 1023", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return history.Errorf(history.Invalid, "%s is no address of this machine: set BIND_ADDRESS to one that is", address)
	default:
		return fmt.Errorf("listen on %s: %w", address, err)
	}
}
