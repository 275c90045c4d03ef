package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// APIServer and Etcd are components that tests stop.
const (
	APIServer = "kube-apiserver"
	Etcd      = "etcd"
)

// StopComponent kills a component with SIGKILL and keeps it down.
func (c *Cluster) StopComponent(ctx context.Context, component string) error {
	_, err := c.run(ctx, "stop", component, "--dir", c.Dir)
	return err
}

// StartComponent starts a component that StopComponent stopped, and returns
// when it is healthy.
func (c *Cluster) StartComponent(ctx context.Context, component string) error {
	_, err := c.run(ctx, "start", component, "--dir", c.Dir)
	return err
}

// RestartComponent kills a component with SIGKILL, starts it again, and returns
// when it is healthy. The API server has the same address as before, and an
// empty watch cache.
func (c *Cluster) RestartComponent(ctx context.Context, component string) error {
	_, err := c.run(ctx, "restart", component, "--dir", c.Dir)
	return err
}

// Compact drops etcd's history up to the revision that it returns. Watches from
// before that revision may still work, because the API server's watch cache has
// the changes. They fail with 410 after the API server was restarted too.
func (c *Cluster) Compact(ctx context.Context) (int64, error) {
	out, err := c.run(ctx, "compact", "--dir", c.Dir)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
}

// Kubectl runs the kubectl of devcluster against the cluster and returns its
// output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := c.run(ctx, append([]string{"kubectl", "--kubeconfig=" + c.Kubeconfig}, args...)...)
	return string(out), err
}

// run runs devcluster and returns its standard output.
func (c *Cluster) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	// An interrupted load still writes the accepted writes.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endPatience
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("devcluster %s: %w\n%s", strings.Join(args, " "), err, messages.String())
	}
	return out, nil
}
