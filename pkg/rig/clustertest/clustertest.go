// Package clustertest gives Go tests a real Kubernetes API server.
//
// It builds and runs cmd/devcluster, which is a module of its own, so that
// tests get the real servers while go.mod stays free of them. Start one cluster
// per package:
//
//	var cluster *clustertest.Cluster
//
//	func TestMain(m *testing.M) {
//		os.Exit(clustertest.Main(m, clustertest.Options{}, func(c *clustertest.Cluster) { cluster = c }))
//	}
//
// A cluster ends with the test process, however that ends: the cluster's
// supervisor holds the other end of a pipe. It keeps no goroutine in the test
// process, so goleak finds none.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package clustertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// endPatience bounds how long a supervisor may take to stop.
const endPatience = 30 * time.Second

// Options choose what to boot. The zero value is the cheapest cluster: etcd
// and an API server, ready in about three seconds with about 500 MB.
type Options struct {
	// All adds the controller manager, the scheduler and kwok, for about
	// another 500 MB. Scenarios need it.
	All bool
	// Components names the programs to run, if neither the default nor All
	// fits. The names are those of devcluster up --components.
	Components []string
	// Nodes is the number of simulated nodes. They become ready only with kwok.
	Nodes int
	// Forwards sends port-forwards to a port of any pod on a simulated node
	// to an address on this machine, HOST:PORT. It needs kwok.
	Forwards map[int]string
}

// Cluster is a running cluster. Its methods are safe for concurrent use,
// except for Stop.
type Cluster struct {
	// Kubeconfig is the path of an administrator's kubeconfig.
	Kubeconfig string
	// Dir is the cluster's directory, with the components' logs in logs. Stop
	// removes it.
	Dir string
	// Binary is the path of devcluster, for what this package does not wrap.
	Binary string

	config   *rest.Config
	cmd      *exec.Cmd
	lifeline io.Closer // closing it stops the supervisor
	messages *os.File  // the supervisor's standard error
}

// Main runs a package's tests with a cluster of their own and returns the
// exit code for TestMain. It calls use with the cluster before the first test.
func Main(m *testing.M, options Options, use func(*Cluster)) int {
	cluster, err := Start(context.Background(), options)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "clustertest:", err)
		return 1
	}
	use(cluster)
	code := m.Run()
	if err := cluster.Stop(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "clustertest:", err)
		return 1
	}
	return code
}

// New starts a cluster for one test and stops it when the test ends.
func New(tb testing.TB, options Options) *Cluster {
	tb.Helper()
	cluster, err := Start(tb.Context(), options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return cluster
}

// Start builds devcluster if necessary, which takes minutes the first time on a
// machine, and boots a cluster. The context bounds the start, not the cluster's
// life. The caller must call Stop.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	binary, err := build(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "clustertest-")
	if err != nil {
		return nil, fmt.Errorf("make cluster directory: %w", err)
	}
	cluster := &Cluster{Binary: binary, Dir: dir}
	if err := cluster.boot(ctx, options); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	return cluster, nil
}

// Config returns a fresh administrator's configuration without client-side
// rate limits.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Stop stops the cluster and removes its directory. It may be called more than
// once.
func (c *Cluster) Stop() error {
	var errs []error
	if c.lifeline != nil {
		errs = append(errs, c.lifeline.Close(), c.await(), c.messages.Close())
		c.lifeline = nil
	}
	return errors.Join(append(errs, os.RemoveAll(c.Dir))...)
}

// boot starts the supervisor and reads the kubeconfig's path, which it prints
// when the cluster is ready.
func (c *Cluster) boot(ctx context.Context, options Options) error {
	messages, err := os.CreateTemp("", "clustertest-")
	if err != nil {
		return fmt.Errorf("make file for messages: %w", err)
	}
	// The open file is enough. Without a name, nothing is left if the test is
	// killed.
	if err := os.Remove(messages.Name()); err != nil {
		return errors.Join(err, messages.Close())
	}
	c.messages = messages
	c.cmd = exec.Command(c.Binary, options.arguments(c.Dir)...) //nolint:noctx // ends with its lifeline
	c.cmd.Stderr = messages
	lifeline, err := c.cmd.StdinPipe()
	if err != nil {
		return errors.Join(err, messages.Close())
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return errors.Join(err, messages.Close())
	}
	if err := c.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start devcluster: %w", err), messages.Close())
	}
	c.lifeline = lifeline
	stopWaiting := context.AfterFunc(ctx, func() { _ = lifeline.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if !stopWaiting() && ctx.Err() != nil {
		return fmt.Errorf("start devcluster: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("devcluster did not become ready: %w\n%s", err, c.messageText())
	}
	c.Kubeconfig = strings.TrimSuffix(line, "\n")
	return c.connect()
}

// connect reads the kubeconfig.
func (c *Cluster) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	config.QPS = -1
	c.config = config
	return nil
}

// await waits until the supervisor has ended. It kills the supervisor after
// [endPatience].
func (c *Cluster) await() error {
	overdue := time.AfterFunc(endPatience, func() { _ = c.cmd.Process.Kill() })
	defer overdue.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("end devcluster: %w\n%s", err, c.messageText())
	}
	return nil
}

// messageText returns what devcluster wrote to standard error.
func (c *Cluster) messageText() string {
	text, err := io.ReadAll(io.NewSectionReader(c.messages, 0, 1<<20))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// arguments returns the arguments of devcluster.
func (o Options) arguments(dir string) []string {
	components := []string{"etcd", "kube-apiserver"}
	if o.Components != nil {
		components = o.Components
	}
	if o.All {
		components = []string{"all"}
	}
	args := []string{
		"up", "--foreground", "--lifeline=always", "--name=test", "--dir=" + dir,
		"--components=" + strings.Join(components, ","), "--nodes=" + strconv.Itoa(o.Nodes),
	}
	for port, target := range o.Forwards {
		args = append(args, fmt.Sprintf("--forward=%d=%s", port, target))
	}
	return args
}
