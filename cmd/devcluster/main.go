// Command devcluster boots a throwaway Kubernetes control plane from Go
// modules alone: no container runtime, no downloaded binaries.
//
// It is a module of its own because it links the Kubernetes servers, which no
// user of the other programs should have to download.
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

// run leaves kubectl to the command line, and turns this process into any
// other component that is asked for.
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
	// A supervisor outlives the pipes that its start was watched through.
	signal.Ignore(syscall.SIGPIPE)
	// The servers put flags there that cobra would give to every command.
	pflag.CommandLine = pflag.NewFlagSet("devcluster", pflag.ContinueOnError)
	streams := command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	root := command.New(streams, executable, runKubectl)
	root.SetArgs(args)
	return explain(root.ExecuteContext(ctx))
}

// dieWithInput ends a component together with its supervisor on systems
// without a signal for that.
func dieWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// runKubectl gives kubectl a cluster to talk to where the user named none, and
// keeps its cache with the cluster, so that both go together.
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
