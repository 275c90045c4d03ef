package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/kube"
	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

// patience is how long processes may take to end.
const patience = 15 * time.Second

// Down ends every process of a cluster and removes its directory. It succeeds
// if some or all of them have already ended.
func Down(ctx context.Context, state State) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := state.Supervisor.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, process.ErrGone) {
		return fmt.Errorf("end supervisor: %w", err)
	}
	orderly, cancelOrderly := context.WithTimeout(ctx, patience/2)
	defer cancelOrderly()
	if err := state.Supervisor.Wait(orderly); err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for supervisor: %w", err)
	}
	return remove(ctx, state)
}

// remove ends the processes of a supervisor that has ended or is ending, and
// removes the directory.
func remove(ctx context.Context, state State) error {
	for _, id := range state.processes() {
		if err := id.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, process.ErrGone) {
			return fmt.Errorf("end process %d: %w", id.PID, err)
		}
		if err := id.Wait(ctx); err != nil {
			return fmt.Errorf("wait for process %d to end: %w", id.PID, err)
		}
	}
	if err := os.RemoveAll(state.Dir); err != nil {
		return fmt.Errorf("remove cluster directory: %w", err)
	}
	return nil
}

// Stop kills a component with SIGKILL and keeps it down until Start.
func Stop(ctx context.Context, state State, component string) error {
	found, ok := state.Component(component)
	if !ok {
		return notPart(state, component)
	}
	if err := os.WriteFile(layout(state.Dir).hold(component), nil, 0o600); err != nil {
		return fmt.Errorf("hold %s: %w", component, err)
	}
	if err := found.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, process.ErrGone) {
		return fmt.Errorf("kill %s: %w", component, err)
	}
	return found.Process.Wait(ctx)
}

// Start starts a component that Stop keeps down, and returns when it is
// healthy.
func Start(ctx context.Context, state State, component string) error {
	if _, ok := state.Component(component); !ok {
		return notPart(state, component)
	}
	if err := os.Remove(layout(state.Dir).hold(component)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("release %s: %w", component, err)
	}
	if err := awaitProcess(ctx, state.Dir, component); err != nil {
		return err
	}
	return awaitHealth(ctx, state, component)
}

// Restart kills a component and returns when its new process is healthy.
func Restart(ctx context.Context, state State, component string) error {
	if err := Stop(ctx, state, component); err != nil {
		return err
	}
	return Start(ctx, state, component)
}

// awaitProcess waits until the component's recorded process is running.
func awaitProcess(ctx context.Context, dir, component string) error {
	for {
		state, err := Read(dir)
		if err != nil {
			return err
		}
		now, _ := state.Component(component)
		if now.Process.Alive() {
			return nil
		}
		if err := sleep(ctx, holdPoll); err != nil {
			return fmt.Errorf("wait for %s to start: %w", component, err)
		}
	}
}

func awaitHealth(ctx context.Context, state State, component string) error {
	path := map[string]string{
		APIServer: "/readyz", ControllerManager: "/healthz", Scheduler: "/healthz", Kwok: "/healthz",
	}[component]
	if path == "" {
		// etcd rejects the administrator's certificate, so the API server is
		// probed.
		component, path = APIServer, "/readyz/etcd"
	}
	config, err := kube.Config(state.Kubeconfig, "devcluster")
	if err != nil {
		return err
	}
	target, _ := state.Component(component)
	for {
		err := probe(ctx, config, target.Port, path)
		if err == nil {
			return nil
		}
		if sleep(ctx, probePause) != nil {
			return fmt.Errorf("wait for %s: %w: %w", component, context.Cause(ctx), err)
		}
	}
}

// Compact drops all versions from etcd except the newest one of each key. The
// API server does the same with versions older than five minutes. Compact
// returns the revision of the compaction. A watch from an earlier one still
// succeeds if the API server's cache reaches back that far. Restarting the API
// server empties the cache.
func Compact(ctx context.Context, state State) (revision int64, err error) {
	files := layout(state.Dir)
	tlsConfig, err := transport.TLSInfo{
		CertFile: files.cert("etcd-client"), KeyFile: files.key("etcd-client"), TrustedCAFile: files.cert("ca"),
	}.ClientConfig()
	if err != nil {
		return 0, fmt.Errorf("read etcd's certificates: %w", err)
	}
	etcd, _ := state.Component(Etcd)
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{url(etcd.Port)}, TLS: tlsConfig, Context: ctx, DialTimeout: patience,
	})
	if err != nil {
		return 0, fmt.Errorf("connect to etcd: %w", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	response, err := client.Get(ctx, "/", clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("ask etcd for its revision: %w", err)
	}
	revision = response.Header.Revision
	if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		return 0, fmt.Errorf("compact etcd to revision %d: %w", revision, err)
	}
	return revision, nil
}

func notPart(state State, component string) error {
	return fmt.Errorf("%s is not part of cluster %s: give it to devcluster up with --components", component, state.Name)
}

// Held reports whether Stop keeps the component down.
func Held(state State, component string) bool {
	_, err := os.Stat(layout(state.Dir).hold(component))
	return err == nil
}
