// Command devcluster boots a throwaway Kubernetes control plane from Go
// modules alone: no container runtime, no downloaded binaries.
//
// It is a module of its own because it links the Kubernetes servers. Users of
// the other programs should not have to download them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/command"
	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/component"
)

func main() { os.Exit(run(os.Args[1:])) }

// run runs a component in this process if the first argument is its name.
// kubectl is a command of the command line.
func run(args []string) int {
	if len(args) > 0 && args[0] != "kubectl" && component.Known(args[0]) {
		if os.Getenv(cluster.Lifeline) != "" {
			go dieWithInput()
		}
		return component.Run(args[0], args[1:])
	}
	executable, err := os.Executable()
	if err != nil {
		return explain(fmt.Errorf("find this program: %w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// The process that starts a supervisor exits earlier and closes its pipes.
	signal.Ignore(syscall.SIGPIPE)
	// The servers add flags there, which cobra would add to every command.
	pflag.CommandLine = pflag.NewFlagSet("devcluster", pflag.ContinueOnError)
	streams := command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	root := command.New(streams, executable, runKubectl)
	root.SetArgs(args)
	return explain(root.ExecuteContext(ctx))
}

// dieWithInput ends a component when its supervisor ends, on systems without a
// parent death signal.
func dieWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// runKubectl runs kubectl with the default cluster if the user named none.
// kubectl's cache is in the cluster's directory, so that both are removed
// together.
func runKubectl(args []string) int {
	signal.Reset()
	if os.Getenv("KUBECONFIG") == "" {
		root, err := cluster.Root()
		if err != nil {
			return explain(err)
		}
		if state, err := cluster.Read(filepath.Join(root, "default")); err == nil {
			if err := os.Setenv("KUBECONFIG", state.Kubeconfig); err != nil {
				return explain(err)
			}
		}
	}
	dir := filepath.Dir(os.Getenv("KUBECONFIG"))
	if _, err := cluster.Read(dir); err == nil && os.Getenv("KUBECACHEDIR") == "" {
		if err := os.Setenv("KUBECACHEDIR", filepath.Join(dir, "kubectl-cache")); err != nil {
			return explain(err)
		}
	}
	return component.Run("kubectl", args)
}

func explain(err error) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[command.ExitError](err); ok {
		return int(code)
	}
	_, _ = fmt.Fprintf(os.Stderr, "error: %v\n", err)
	return 1
}
